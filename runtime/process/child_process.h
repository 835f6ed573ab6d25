// A RootProcess that is this process's own child.
#pragma once

#include <unistd.h>

#include "runtime/process/launch.h"

namespace ck::process {

class ChildProcess : public RootProcess {
 public:
  // Takes over `pid`, a child of the calling thread.
  static Result<std::unique_ptr<RootProcess>> watch(RealPid pid);

  RealPid pid() const override { return pid_; }
  int exit_fd() const override { return pidfd_.get(); }
  RealPid reaper() const override { return RealPid(::getpid()); }
  Result<int> take_exit_status() override;

 private:
  RealPid pid_;
  UniqueFd pidfd_;
};

}  // namespace ck::process
