// A RootProcess that is not this process's child: of a job whose supervisor died. Another process
// collects it, so its exit status comes from the kernel by way of its pidfd.
#pragma once

#include "runtime/process/launch.h"

namespace ck::process {

class AdoptedProcess : public RootProcess {
 public:
  // `start_time`: as /proc/PID/stat tells it, so that no other process of that pid is taken.
  static Result<std::unique_ptr<RootProcess>> watch(RealPid pid, std::uint64_t start_time);

  RealPid pid() const override { return pid_; }
  int exit_fd() const override { return pidfd_.get(); }
  RealPid reaper() const override { return reaper_; }
  // An Error if nobody can tell any more.
  Result<int> take_exit_status() override;

 private:
  RealPid pid_;
  RealPid reaper_;
  std::uint64_t start_time_ = 0;
  UniqueFd pidfd_;
};

}  // namespace ck::process
