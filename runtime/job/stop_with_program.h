// ^Z at a job in the foreground: the shell waits for the supervisor, not for the program, so the
// supervisor stops when job control has stopped the program, and goes on with it. While it is
// stopped it cannot serve: ckpt wakes it with a SIGCONT that carries a value of its own, and it
// stops again when there is nothing more to do. Supervisor's main thread only.
#pragma once

#include <sys/signalfd.h>

#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "runtime/base/ids.h"
#include "runtime/job/shared_terminal.h"

namespace ck::job {

class StopWithProgram {
 public:
  // `busy`: a checkpoint runs, this is no time to stop.
  StopWithProgram(boost::asio::io_context& io, RealPid program, std::function<bool()> busy,
                  SharedTerminal* terminal);

  // Job control has stopped the program.
  void on_stop();
  // True for a SIGCONT that only wakes the supervisor and is not for the program.
  bool is_wake_up(const signalfd_siginfo& info);

 private:
  void stop();
  void stop_again_later();
  bool serving_ = false;  // woken up: does not stop before again_ has run
  RealPid program_;
  std::function<bool()> busy_;
  SharedTerminal* terminal_;  // may be null
  boost::asio::steady_timer again_;
};

bool is_stopped(RealPid pid);

// ckpt's side: if the supervisor is stopped, wakes it.
void wake_stopped_supervisor(RealPid supervisor);

}  // namespace ck::job
