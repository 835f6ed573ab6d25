// Brings a job back from an image. Either the whole job runs when this returns, or nothing of it is
// left; see goes_on for what is between. Supervisor's main thread only (it becomes the parent).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/reader.h"
#include "runtime/proc/control_area.h"
#include "runtime/process/launch.h"

namespace ck::restore {

enum class PidsMode { kAuto, kReal, kNamespace, kVirtual };

struct NextImage {
  const image::Reader& reader;  // lives as long as the restart
  bool last;                    // the job goes on from this one
};

struct RestartOptions {
  PidsMode pids = PidsMode::kAuto;
  bool rollback_files = false;  // truncate what grew after the checkpoint
  std::string restorer_path;    // the restorer executable
  unsigned threads = 0;         // 0: one a core
  image::Progress* progress = nullptr;
  // Where this process's session has the terminal that takes the place of the one that ckrun had
  // made for the job: its master. -1: none, and with real pids the job's is nobody's.
  int own_terminal = -1;
  // Memory in advance. Asked when the memory of an image is in place, and nothing else, until it
  // gives the last: the next image of the same job, whose memory replaces it, where only what
  // differs is written. kRefused if the job has more to it than processes and memory of their own,
  // or has changed too much meanwhile. Empty: there is one image.
  std::function<Result<NextImage>()> next_image;
  // Asked once, when all is restored and no instruction of the job has run; `root` is its root
  // process. Until this returns the job stands still, and dies with this process. false: it is
  // ended. Empty: it goes on.
  std::function<bool(RealPid root)> goes_on;
};

struct Restarted {
  std::unique_ptr<process::RootProcess> root;  // none: goes_on() said no, and nothing is left
  PidsMode pids;                               // the way that was taken
  std::vector<std::string> warnings;           // one line each: what is different from before
  UniqueFd own_terminal;  // the master of the job's own terminal, if the image has one
  std::string typed;      // what is to be typed there first: it has no room yet
};

// `area`: a new control area with at least as many slots as the image has threads.
// Of the control area: how many a restart uses.
std::size_t slots_needed(const image::Manifest& manifest);

Result<Restarted> restart(const image::Reader& reader, ControlArea& area,
                          const RestartOptions& options);

}  // namespace ck::restore
