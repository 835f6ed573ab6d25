// ^Z at a job in the foreground: the shell waits for the supervisor, not for the program, so the
// supervisor stops when job control has stopped the program, and goes on with it. While it is
// stopped it cannot serve: ckpt wakes it with a SIGCONT that carries a value of its own, and it
// stops again when there is nothing more to do. Supervisor's main thread only.
#pragma once

#include <sys/signalfd.h>

#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "runtime/base/ids.h"

namespace ck::job {

class StopWithProgram {
 public:
  // `busy`: a checkpoint runs, this is no time to stop.
  StopWithProgram(boost::asio::io_context& io, RealPid program, std::function<bool()> busy);

  // After SIGCHLD, and when the engine has become idle.
  void on_child_change();
  // True for a SIGCONT that only wakes the supervisor and is not for the program.
  bool is_wake_up(const signalfd_siginfo& info);

 private:
  void stop_again_later();
  bool serving_ = false;  // woken up: does not stop before again_ has run
  RealPid program_;
  std::function<bool()> busy_;
  boost::asio::steady_timer again_;
};

// ckpt's side: if the supervisor is stopped, wakes it.
void wake_stopped_supervisor(RealPid supervisor);

}  // namespace ck::job
