// PidFd: a process held by descriptor, so that its number cannot come to mean another one.
// Any thread may call.
#pragma once

#include <csignal>
#include <utility>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::proc {

class PidFd {
 public:
  static Result<PidFd> open(RealPid pid);

  // A duplicate, close-on-exec, of the process's descriptor `fd`: the same open file description,
  // so file status flags and position are shared. Needs the right to trace the process (ATTACH).
  Result<UniqueFd> get_descriptor(int fd) const;

  // kill(2) with the queued `info` (or none). The process is known to be the one that was opened.
  Status send_signal(int number, const siginfo_t* info = nullptr) const;

  int get() const { return fd_.get(); }  // readable (poll) once the process has ended
  RealPid pid() const { return pid_; }

 private:
  PidFd(UniqueFd fd, RealPid pid) : fd_(std::move(fd)), pid_(pid) {}
  UniqueFd fd_;
  RealPid pid_;
};

}  // namespace ck::proc
