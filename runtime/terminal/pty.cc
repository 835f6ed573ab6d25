#include "runtime/terminal/pty.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <string>
#include <vector>

namespace ck::terminal {

namespace {

constexpr unsigned kSlaveMajor = 136;  // Documentation/admin-guide/devices.txt
constexpr unsigned kSlaveMajors = 8;
constexpr std::size_t kMostTries = 4096;  // kernel.pty.max, as it usually is

}  // namespace

bool is_pty_slave(std::uint64_t device) {
  return major(device) >= kSlaveMajor && major(device) < kSlaveMajor + kSlaveMajors;
}

bool is_pty_master(std::uint64_t device) {
  return device == makedev(5, 2);
}

unsigned slave_number(std::uint64_t device) {
  return (major(device) - kSlaveMajor) * 256 + minor(device);
}

Result<UniqueFd> open_master() {
  UniqueFd master(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!master) return sys_error("open /dev/ptmx");
  int unlocked = 0;
  if (::ioctl(master.get(), TIOCSPTLCK, &unlocked) != 0) return sys_error("unlock a pty");
  return master;
}

// The kernel gives the lowest number that is free.
Result<std::optional<UniqueFd>> open_master(unsigned number) {
  std::vector<UniqueFd> lower;
  while (lower.size() < kMostTries) {
    UniqueFd master = CK_TRY(open_master());
    const unsigned got = CK_TRY(number_of(master.get()));
    if (got == number) return std::optional(std::move(master));
    if (got > number) break;
    lower.push_back(std::move(master));
  }
  return std::optional<UniqueFd>();
}

Result<unsigned> number_of(int master) {
  unsigned number = 0;
  if (::ioctl(master, TIOCGPTN, &number) != 0) return sys_error("ask for a pty's number");
  return number;
}

Result<UniqueFd> open_slave(int master, int flags) {
  // O_CLOEXEC would become a flag of the open file, which open(2) does not let happen.
  UniqueFd slave(::ioctl(master, TIOCGPTPEER, (flags & ~O_CLOEXEC) | O_NOCTTY));
  if (!slave || ::fcntl(slave.get(), F_SETFD, FD_CLOEXEC) != 0)
    return sys_error("open a pty's slave");
  return slave;
}

Result<Modes> modes_of(int terminal) {
  Modes modes{};
  if (::ioctl(terminal, TCGETS2, &modes) != 0) return sys_error("ask for a terminal's modes");
  return modes;
}

Status set_modes(int terminal, const Modes& modes) {
  if (::ioctl(terminal, TCSETS2, &modes) != 0) return sys_error("set a terminal's modes");
  return {};
}

Modes raw(Modes modes) {
  modes.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  modes.c_oflag &= ~OPOST;
  modes.c_lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  modes.c_cflag &= ~(CSIZE | PARENB);
  modes.c_cflag |= CS8;
  modes.c_cc[VMIN] = 1;
  modes.c_cc[VTIME] = 0;
  return modes;
}

Modes cooked(Modes modes) {
  modes.c_iflag &= ~(INLCR | IGNCR);
  modes.c_iflag |= ICRNL;
  modes.c_oflag |= OPOST | ONLCR;
  modes.c_lflag |= ISIG | ICANON | IEXTEN | ECHO | ECHOE | ECHOK;
  return modes;
}

Result<Window> window_of(int terminal) {
  Window window{};
  if (::ioctl(terminal, TIOCGWINSZ, &window) != 0)
    return sys_error("ask for a terminal's window size");
  return window;
}

Status set_window(int terminal, const Window& window) {
  if (::ioctl(terminal, TIOCSWINSZ, &window) != 0) return sys_error("set a terminal's window size");
  return {};
}

}  // namespace ck::terminal
