// While a job is being brought back, the supervised signals are blocked already, for from one
// moment to the next they are the program's. Until then ^C and its kin must still end this process:
// a thread waits for them. Main thread only.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::job {

class InterruptGuard {
 public:
  // `last_act` is called from the guard's thread before the process dies of the signal.
  static Result<std::unique_ptr<InterruptGuard>> start(std::function<void()> last_act);
  // Signals that come from now on stay pending.
  ~InterruptGuard();

 private:
  void thread_main();
  UniqueFd signals_;
  UniqueFd quit_;
  std::function<void()> last_act_;
  std::thread thread_;
};

}  // namespace ck::job
