// The terminal that the user sits at, as a client finds it: its modes before and while the job has
// it. Main thread only; SIGTTOU and SIGTTIN are blocked.
#pragma once

#include <optional>

#include "runtime/base/unique_fd.h"
#include "runtime/terminal/pty.h"

namespace ck::job {

class UserTerminal {
 public:
  // The first of standard input, output and error that is a terminal, or none.
  static UserTerminal find();
  ~UserTerminal() { restore(); }
  UserTerminal(UserTerminal&&) = default;

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const std::optional<terminal::Modes>& modes() const { return modes_; }  // before
  std::optional<terminal::Window> window() const;
  // Whether this process may use it; where it is not this session's, always.
  bool is_foreground() const;
  void make_raw();  // once, until restore()
  // Of a raw one: whether ^C and the like are signals for this process. What is typed stays unread.
  void make_interruptible(bool wanted);
  void restore();
  bool is_raw() const { return raw_; }

 private:
  UserTerminal() = default;
  int fd_ = -1;
  std::optional<terminal::Modes> modes_;
  bool raw_ = false, interruptible_ = false;
};

}  // namespace ck::job
