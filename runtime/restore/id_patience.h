// A number that a process or thread is to get (clone_args.set_tid) may be taken by one that has
// just ended: since Linux 6.15 release_task() frees numbers after it has told of the end, and on a
// busy machine that may be long after (more than 0.2 s at a load of 18 a processor).
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace ck::restore {

class IdPatience {
 public:
  explicit IdPatience(pid_t wanted) : wanted_(wanted) {}

  // After a clone that failed with `errnum`, and a nap: whether it is worth trying once more. errno
  // is `errnum` if not.
  bool again(int errnum) const {
    const bool passes = errnum == EEXIST && !exists(wanted_) && !exists(-wanted_) &&
                        std::chrono::steady_clock::now() < give_up_;
    if (passes) std::this_thread::sleep_for(std::chrono::microseconds(200));
    errno = errnum;
    return passes;
  }

 private:
  static bool exists(pid_t id) { return ::kill(id, 0) == 0 || errno != ESRCH; }

  pid_t wanted_;
  std::chrono::steady_clock::time_point give_up_ =
      std::chrono::steady_clock::now() + std::chrono::seconds(3);
};

}  // namespace ck::restore
