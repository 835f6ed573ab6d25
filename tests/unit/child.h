// A process for tests to look at from outside: set up by `prepare`, then waiting until the object
// goes.
#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <functional>

#include "runtime/base/ids.h"

namespace ck::test {

class Child {
 public:
  explicit Child(const std::function<void()>& prepare = [] {}) {
    int ready[2];
    BOOST_REQUIRE(::pipe(ready) == 0);
    pid_ = RealPid(::fork());
    if (pid_.value == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(ready[0]);
      prepare();
      char ok = 1;
      if (::write(ready[1], &ok, 1) != 1) ::_exit(1);
      ::close(ready[1]);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char ok = 0;
    BOOST_REQUIRE(::read(ready[0], &ok, 1) == 1);
    ::close(ready[0]);
  }
  ~Child() {
    ::kill(pid_.value, SIGKILL);
    ::waitpid(pid_.value, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  RealPid pid() const { return pid_; }

 private:
  RealPid pid_;
};

}  // namespace ck::test
