// One restart of a job, in the process that becomes its supervisor: from the open image to the
// job's end. Main thread only, before any other thread was started.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/reader.h"
#include "runtime/job/held_mark.h"
#include "runtime/job/held_restart.h"
#include "runtime/job/installation.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/keeper_link.h"
#include "runtime/job/newer_images.h"
#include "runtime/job/ownership.h"
#include "runtime/job/run_job.h"
#include "runtime/job/shared_terminal.h"
#include "runtime/proc/control_area.h"
#include "runtime/restore/restart.h"

namespace ck::job {

// A line on standard error.
void tell(const std::string& line);
Settings with_changes(Settings settings, const RestartRequest& request);
// The recorded status, if the job has finished and is not to run again; that is told then.
Result<std::optional<int>> finished_status(const JobDir& job, const RestartRequest& request);

class RestartRun {
 public:
  // `keeper`: of the job's own terminal, or none. `job` and `request` outlive this.
  RestartRun(const JobDir& job, std::unique_ptr<image::Reader> reader,
             const RestartRequest& request, RealPid keeper);

  // The exit status for this process.
  Result<int> run();
  // The job has run, or was held: its folder must stay.
  bool restored() const { return restored_; }

 private:
  Result<std::optional<int>> own(std::optional<std::uint64_t> counter);
  Status own_held(RealPid root, std::optional<std::uint64_t> counter);
  void end_claim();
  Result<int> run_claimed();
  Status restore();
  Result<restore::NextImage> next_image();
  wire::Reply done() const;
  bool hold(RealPid root);
  Status connect_terminal();
  Status settle();
  Error give_up(Error error);
  int end_held();

  const JobDir& job_;
  std::unique_ptr<image::Reader> reader_;
  std::vector<std::unique_ptr<image::Reader>> earlier_;  // whose memory came in advance
  const RestartRequest& request_;
  RealPid keeper_;
  Settings settings_;
  std::string image_;
  UniqueFd ready_;
  std::optional<NewerImages> newer_;
  std::optional<HeldRestart> held_;  // its session goes last: then nothing is left
  Installation installation_;
  UniqueFd control_socket_;
  std::mutex claim_mutex_;  // of the two below: an interrupt gives them up
  std::optional<Ownership> ownership_;
  std::optional<HeldMark> mark_;
  Status held_status_;
  std::optional<KeeperLink> link_;
  std::optional<SharedTerminal> shared_;
  std::optional<ControlArea> area_;
  std::optional<restore::Restarted> again_;
  bool restored_ = false;
};

}  // namespace ck::job
