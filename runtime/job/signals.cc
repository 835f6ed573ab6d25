#include "runtime/job/signals.h"

#include <unistd.h>

#include "runtime/base/log.h"

namespace ck::job {

sigset_t supervised_signals() {
  sigset_t set;
  sigfillset(&set);
  for (int own : {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS}) {
    sigdelset(&set, own);
  }
  return set;
}

Status block_supervised_signals() {
  sigset_t set = supervised_signals();
  int failure = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (failure != 0) return sys_error("block signals", failure);
  return {};
}

Result<UniqueFd> open_signal_fd() {
  sigset_t set = supervised_signals();
  UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return sys_error("create a signalfd");
  return fd;
}

bool program_had_it_too(const signalfd_siginfo& info, RealPid program) {
  return info.ssi_code == SI_KERNEL && getpgid(program.value) == getpgrp();
}

void pass_on(const signalfd_siginfo& info, RealPid program) {
  int number = static_cast<int>(info.ssi_signo);
  int result = 0;
  if (info.ssi_code == SI_QUEUE) {
    sigval value{};
    value.sival_ptr = reinterpret_cast<void*>(info.ssi_ptr);
    result = sigqueue(program.value, number, value);
  } else {
    result = kill(program.value, number);
  }
  if (result != 0) spdlog::warn("signal {} was not passed on: errno {}", number, errno);
}

}  // namespace ck::job
