// The user's terminal where the job uses it itself (--no-pty, and images of such jobs): it has the
// program's modes while that is in the foreground, and its own when ^Z stops it, when it is killed,
// and after a restart in any case. Supervisor's main thread only; SIGTTOU is blocked.
#pragma once

#include <optional>
#include <string>

#include "runtime/job/user_terminal.h"

namespace ck::job {

class SharedTerminal {
 public:
  // Notes the modes that the user's terminal has now, if there is one.
  SharedTerminal() : user_(UserTerminal::find()) {}

  explicit operator bool() const { return static_cast<bool>(user_); }
  int fd() const { return user_.fd(); }

  // After a restart: the program's own, as the image has them.
  void take_over(const terminal::Modes& modes);
  void stop();   // before this process stops with the program
  void go_on();  // and when it is continued
  // A program that ends by itself leaves the modes that it chose, unless it was restarted.
  void end(bool by_itself);

 private:
  UserTerminal user_;
  std::optional<terminal::Modes> program_;
  bool restarted_ = false;
};

}  // namespace ck::job
