// Starts the restorer with the pid that the program believes to have: in the host's own pid
// namespace, or inside user, pid, mount and time namespaces of the job's own. Or with any pid,
// where ids are virtual. Main thread only.
#pragma once

#include <memory>
#include <string>

#include "runtime/image/image.pb.h"
#include "runtime/proc/control_area.h"
#include "runtime/process/launch.h"
#include "runtime/restore/restart.h"

namespace ck::restore {

// Descriptors of the restorer process, above every descriptor of the image.
struct HelperDescriptors {
  int base = 0;  // base+0..2: standard input, output, error of the restart
  int area() const { return base + 3; }
  int channel() const { return base + 4; }  // UNIX socket to the engine
};

struct Spawned {
  virtual ~Spawned() = default;
  std::unique_ptr<process::RootProcess> root;
  UniqueFd channel;  // our end
  HelperDescriptors helpers;
  bool own_time_namespace = false;
  bool group_of_restart = false;  // the root has stayed in the process group of the restart
  UniqueFd own_terminal;          // master, if the job's own terminal was made with the namespaces
  // Until this is called, the processes that were started end when the supervisor does.
  virtual Status commit() { return {}; }
};

// `clocks`: what the job's show now. `slot`: which slot the restorer serves. The state of that slot
// must be kArriving.
Result<std::unique_ptr<Spawned>> spawn_real(const image::Manifest& manifest,
                                            const image::ClockRecord& clocks,
                                            const ControlArea& area, const std::string& restorer,
                                            unsigned slot);
// Any pid; the area's table of ids begins.
Result<std::unique_ptr<Spawned>> spawn_virtual(const image::Manifest& manifest,
                                               const image::ClockRecord& clocks,
                                               const ControlArea& area, const std::string& restorer,
                                               unsigned slot);
Result<std::unique_ptr<Spawned>> spawn_in_namespace(const image::Manifest& manifest,
                                                    const image::ClockRecord& clocks,
                                                    const ControlArea& area,
                                                    const std::string& restorer, unsigned slot);

}  // namespace ck::restore
