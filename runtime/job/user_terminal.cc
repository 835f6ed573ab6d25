#include "runtime/job/user_terminal.h"

#include <unistd.h>

#include <utility>

namespace ck::job {

UserTerminal UserTerminal::find() {
  UserTerminal found;
  for (int fd : {0, 1, 2}) {
    Result<terminal::Modes> modes = terminal::modes_of(fd);
    if (!modes.ok()) continue;
    found.fd_ = fd;
    // In the background these are not the user's, but those in which a shell reads its next
    // command.
    found.modes_ = found.is_foreground() ? *modes : terminal::cooked(*modes);
    break;
  }
  return found;
}

std::optional<terminal::Window> UserTerminal::window() const {
  if (fd_ < 0) return std::nullopt;
  Result<terminal::Window> window = terminal::window_of(fd_);
  // A serial line, and a pty that nobody has told, know no size.
  if (!window.ok() || window->ws_row == 0 || window->ws_col == 0) return std::nullopt;
  return *window;
}

bool UserTerminal::is_foreground() const {
  if (fd_ < 0) return true;
  const pid_t group = ::tcgetpgrp(fd_);
  return group < 0 || group == ::getpgrp();
}

void UserTerminal::make_raw() {
  if (fd_ < 0 || raw_) return;
  Result<terminal::Modes> now = terminal::modes_of(fd_);
  if (!now.ok()) return;
  modes_ = *now;
  raw_ = terminal::set_modes(fd_, terminal::raw(*now)).ok();
}

void UserTerminal::make_interruptible(bool wanted) {
  if (!raw_ || wanted == interruptible_) return;
  terminal::Modes modes = terminal::raw(*modes_);
  if (wanted) modes.c_lflag |= ISIG | NOFLSH;
  if (terminal::set_modes(fd_, modes).ok()) interruptible_ = wanted;
}

void UserTerminal::restore() {
  interruptible_ = false;
  if (std::exchange(raw_, false)) (void)terminal::set_modes(fd_, *modes_);
}

}  // namespace ck::job
