#include "runtime/terminal/queues.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string_view>

namespace ck::terminal {

namespace {

constexpr cc_t kDisabled = 0;                // _POSIX_VDISABLE
constexpr char kStart = 0x11, kStop = 0x13;  // ^Q, ^S
constexpr std::size_t kPart = 4096;
constexpr std::size_t kMost = 1 << 20;

// What a pty takes depends on the sizes of the writes: the kernel keeps bytes in buffers of its own
// (drivers/tty/tty_buffer.c), makes one as long as they have not more than 8 KiB together, and each
// has room for twice the write that it was made for. What does not fit into the rest of one leaves
// that rest unused. So: small writes up to the 8 KiB, one that makes the largest buffer, then what
// fits. 23.5 KB go in this way; of a thousand ways to write, none left more than 22.5 KB.
constexpr std::size_t kSmallPart = 256;     // the smallest buffer
constexpr std::size_t kLargePart = 1792;    // the largest
constexpr std::size_t kDisciplines = 4095;  // of the bytes: not in these buffers any more
constexpr std::size_t kSmallParts = 31 * 2 * kSmallPart;

bool ready(int fd, short events, std::chrono::milliseconds patience) {
  pollfd wait{fd, events, 0};
  return ::poll(&wait, 1, static_cast<int>(patience.count())) > 0 && (wait.revents & events) != 0;
}

// Reads no more than is there, so it never waits, whether or not the open file blocks.
Status drain(int fd, std::string& bytes) {
  while (bytes.size() < kMost && ready(fd, POLLIN, std::chrono::milliseconds(0))) {
    int waiting = 0;
    if (::ioctl(fd, FIONREAD, &waiting) != 0) return sys_error("ask for a terminal's queue");
    if (waiting <= 0) return {};
    std::string part(std::min<std::size_t>(static_cast<std::size_t>(waiting), kPart), '\0');
    const ssize_t count = ::read(fd, part.data(), part.size());
    if (count <= 0) return sys_error("read what waits in a terminal");
    bytes.append(part, 0, static_cast<std::size_t>(count));
  }
  return {};
}

// A byte that is not in the text, to stand for the end of file.
cc_t unused_byte(const std::string& text) {
  for (int byte = 1; byte < 256; ++byte)
    if (text.find(static_cast<char>(byte)) == std::string::npos) return static_cast<cc_t>(byte);
  return kDisabled;
}

// Every byte means itself, and only lines are told apart.
Modes literal(Modes modes, cc_t end_of_file) {
  modes.c_iflag &= IUTF8 | IXON;  // without IXON what ^S has halted would go on
  modes.c_lflag &= ICANON;
  for (int i = 0; i < NCCS; ++i)
    if (i != VEOL && i != VEOL2 && i != VMIN && i != VTIME) modes.c_cc[i] = kDisabled;
  modes.c_cc[VEOF] = end_of_file;
  return modes;
}

// What is written to one end reaches the other by way of a work queue, which poll(2) runs.
void settle(int other_end) {
  (void)ready(other_end, POLLIN, std::chrono::milliseconds(0));
}

Result<std::size_t> write_some(int fd, std::string_view bytes) {
  const ssize_t count = ::write(fd, bytes.data(), bytes.size());
  if (count < 0 && errno != EAGAIN) return sys_error("put back what waited in a terminal");
  return static_cast<std::size_t>(std::max<ssize_t>(count, 0));
}

// Buffers are free again when the kernel's worker has emptied them, which poll(2) waits for only
// where nothing can be read yet; nothing tells of it. So what finds no room is tried for this many
// milliseconds: few for what can wait elsewhere, many for what must go in, and did before.
constexpr int kMayWait = 40, kMust = 5000;
struct Patience {
  int naps = kMayWait;
  bool nap() {
    constexpr timespec kNap{0, 1'000'000};
    if (naps-- <= 0) return false;
    ::nanosleep(&kNap, nullptr);
    return true;
  }
};

// In writes of that size, as long as they find room.
Result<std::size_t> write_parts(int fd, int other_end, std::string_view bytes, std::size_t part,
                                Patience& patience) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::size_t count = CK_TRY(write_some(fd, bytes.substr(done, part)));
    done += count;
    if (count != 0) continue;
    settle(other_end);
    if (!patience.nap()) break;
  }
  return done;
}

// As much as there is room for. `small`: how much of it is written in small parts.
Result<std::size_t> write_packed(int fd, int other_end, std::string_view bytes, std::size_t small) {
  Patience patience;
  std::size_t done =
      CK_TRY(write_parts(fd, other_end, bytes.substr(0, small), kSmallPart, patience));
  for (const std::size_t part : {kLargePart, std::size_t{1}})
    done += CK_TRY(write_parts(fd, other_end, bytes.substr(done), part, patience));
  return done;
}

Status write_all(int fd, int other_end, std::string_view bytes) {
  const std::size_t done = CK_TRY(write_packed(fd, other_end, bytes, kDisciplines + kSmallParts));
  if (done == bytes.size()) return {};
  return make_error(ErrorKind::kTryAgain, "a terminal does not take back " +
                                              std::to_string(bytes.size() - done) +
                                              " bytes that waited in it");
}

// tcflow(3) does not start what ^S has halted: that needs ^Q.
Status type_flow(int master, int slave, char key) {
  const Modes modes = CK_TRY(modes_of(master));
  Modes flow = modes;
  flow.c_iflag |= IXON;
  flow.c_cc[VSTART] = static_cast<cc_t>(kStart);
  flow.c_cc[VSTOP] = static_cast<cc_t>(kStop);
  CK_TRY(set_modes(master, flow));
  const bool typed = ::write(master, &key, 1) == 1;
  settle(slave);
  CK_TRY(set_modes(master, modes));
  if (!typed) return sys_error("halt or start a terminal's output");
  return {};
}

// What FIONREAD tells of when all of it has arrived: in lines, no ends of file, and not the line
// that has no end yet.
std::size_t told_of(const Modes& modes, const std::string& bytes) {
  if ((modes.c_lflag & ICANON) == 0) return bytes.size();
  const std::size_t lines = bytes.rfind('\n') + 1;  // npos + 1 is 0
  const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(lines);
  return lines - static_cast<std::size_t>(std::count(bytes.begin(), end, '\0'));
}

Status type_literally(int master, int slave, const Modes& modes, std::string bytes, bool is_full) {
  const cc_t end_of_file = unused_byte(bytes);
  const std::size_t expected = told_of(modes, bytes);
  CK_TRY(set_modes(master, literal(modes, end_of_file)));
  if ((modes.c_lflag & ICANON) != 0)
    std::replace(bytes.begin(), bytes.end(), '\0', static_cast<char>(end_of_file));
  // The modes change behind it, so it is waited for as far as it can be told. Where more comes
  // behind it, in small writes, which leave more room for that.
  Patience patience{kMust};
  const std::size_t done =
      CK_TRY(write_parts(master, slave, bytes, is_full ? kSmallPart : kPart, patience));
  settle(slave);
  int there = 0;
  while (::ioctl(slave, FIONREAD, &there) == 0 && static_cast<std::size_t>(there) < expected &&
         patience.nap()) {
  }
  if (done == bytes.size()) return {};
  ::ioctl(master, TCFLSH, TCOFLUSH);  // all of it or nothing: the caller has it still
  ::ioctl(slave, TCFLSH, TCIFLUSH);
  return make_error(ErrorKind::kTryAgain, "a terminal does not take back what was typed");
}

}  // namespace

Result<Input> take_input(int master, int slave) {
  const Modes modes = CK_TRY(modes_of(master));
  Modes open = literal(modes, kDisabled);  // what is behind comes as it was typed
  open.c_lflag &= ~ICANON;  // else lines that are not finished, and fewer bytes than VMIN, are not
  open.c_cc[VMIN] = 1;      // told
  open.c_cc[VTIME] = 0;
  settle(slave);
  CK_TRY(set_modes(master, open));
  int queued = 0;
  const bool told = ::ioctl(slave, FIONREAD, &queued) == 0;
  std::string bytes;
  Status drained = told ? drain(slave, bytes) : sys_error("ask for a terminal's queue");
  CK_TRY(set_modes(master, modes));
  CK_TRY(std::move(drained));
  const auto end = std::min(static_cast<std::size_t>(queued), bytes.size());
  return Input{bytes.substr(0, end), bytes.substr(end)};
}

Result<std::size_t> put_input(int master, const Modes& modes, const Input& input) {
  if (input.queued.empty() && input.behind.empty()) return 0;
  const UniqueFd slave = CK_TRY(open_slave(master, O_RDWR | O_NONBLOCK));
  const int flags = ::fcntl(master, F_GETFL);
  ::fcntl(master, F_SETFL, flags | O_NONBLOCK);
  Status queued = type_literally(master, slave.get(), modes, input.queued, !input.behind.empty());
  Status restored = set_modes(master, modes);
  Result<std::size_t> behind = 0;
  if (queued.ok()) behind = write_packed(master, slave.get(), input.behind, kSmallParts);
  ::fcntl(master, F_SETFL, flags);
  CK_TRY(std::move(queued));
  CK_TRY(std::move(restored));
  return behind;
}

Result<std::string> take_output(int master) {
  std::string bytes;
  CK_TRY(drain(master, bytes));
  return bytes;
}

Status halt_output(int master, int slave) {
  return type_flow(master, slave, kStop);
}

Result<PutOutput> put_output(int master, int slave, const std::string& bytes) {
  PutOutput put;
  if (bytes.empty()) return put;
  settle(slave);  // a ^S that was just typed
  const UniqueFd own = CK_TRY(open_slave(master, O_RDWR | O_NONBLOCK));
  const Modes modes = CK_TRY(modes_of(master));
  Modes plain = modes;
  plain.c_oflag &= ~OPOST;
  CK_TRY(set_modes(master, plain));
  Result<std::size_t> first = write_some(own.get(), bytes.substr(0, kSmallPart));
  if (first.ok() && *first == 0) {
    put.halted = true;
    CK_TRY(type_flow(master, slave, kStart));
    first = 0;
  }
  Status written = first.ok() ? write_all(own.get(), master, std::string_view(bytes).substr(*first))
                              : Status(std::move(first).error());
  if (put.halted) CK_TRY(halt_output(master, slave));
  CK_TRY(set_modes(master, modes));
  CK_TRY(std::move(written));
  return put;
}

}  // namespace ck::terminal
