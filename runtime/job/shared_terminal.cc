#include "runtime/job/shared_terminal.h"

#include <signal.h>
#include <unistd.h>

namespace ck::job {

void SharedTerminal::take_over(const terminal::Modes& modes) {
  restarted_ = true;
  program_ = modes;
  if (user_) (void)terminal::set_modes(fd(), modes);
}

// A program that has left its mode for the stop enters it again by itself, perhaps before this
// process runs again. Others know of nothing.
void SharedTerminal::stop() {
  if (!user_) return;
  program_.reset();
  const Result<terminal::Modes> now = terminal::modes_of(fd());
  if (now.ok() && (now->c_lflag & ICANON) == 0) program_ = *now;
  (void)terminal::set_modes(fd(), *user_.modes());
}

void SharedTerminal::go_on() {
  if (user_ && program_ && user_.is_foreground()) (void)terminal::set_modes(fd(), *program_);
}

// A group of the job's that had the terminal has gone: nobody else can give it back.
void SharedTerminal::end(bool by_itself) {
  if (!user_) return;
  if (restarted_ && !user_.is_foreground() && ::kill(-::tcgetpgrp(fd()), 0) != 0)
    (void)::tcsetpgrp(fd(), ::getpgrp());
  if (user_.is_foreground() && (restarted_ || !by_itself))
    (void)terminal::set_modes(fd(), *user_.modes());
}

}  // namespace ck::job
