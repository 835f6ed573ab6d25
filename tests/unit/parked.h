// A process that serves a slot of a control area, as a parked thread of a job does: set up by
// `prepare`, then at the mailbox's command until the object goes.
#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <functional>

#include "runtime/proc/control_area.h"
#include "runtime/proc/mailbox.h"

namespace ck::test {

// Serves the slot for good (abi::serve, which one file of a program may contain).
[[noreturn]] void serve(const ControlArea& area, unsigned slot);

class Parked {
 public:
  Parked(const ControlArea& area, unsigned slot, const std::function<void()>& prepare)
      : pid_(start(area, slot, prepare)),
        mailbox_(area, slot, reinterpret_cast<std::uint64_t>(area.header()), pid_) {
    Status status = mailbox_.wait_parked();
    if (!status.ok()) BOOST_FAIL(status.error().text());
  }
  ~Parked() {
    ::kill(pid_.value, SIGKILL);
    ::waitpid(pid_.value, nullptr, 0);
  }
  Parked(const Parked&) = delete;
  Parked& operator=(const Parked&) = delete;

  RealPid pid() const { return pid_; }
  proc::Mailbox& mailbox() { return mailbox_; }

 private:
  static RealPid start(const ControlArea& area, unsigned slot,
                       const std::function<void()>& prepare) {
    area.slot(slot)->state = abi::kArriving;
    RealPid pid(::fork());
    if (pid.value != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    prepare();
    serve(area, slot);
  }

  RealPid pid_;
  proc::Mailbox mailbox_;
};

}  // namespace ck::test
