#include "runtime/resources/terminals.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstring>

#include "runtime/proc/stat.h"

namespace ck::resources {

using image::TerminalRecord;

namespace {

constexpr int kUsualDiscipline = 0;  // N_TTY

std::uint64_t device_of(const proc::ProcessStat& stat) {
  const auto packed = static_cast<unsigned>(stat.tty);
  return makedev((packed >> 8) & 0xfff, (packed & 0xff) | (packed >> 12 & 0xfff00));
}

bool is_terminal(const OpenFile& file) {
  if (!S_ISCHR(file.status.st_mode) || (file.entry.info.flags & O_PATH) != 0) return false;
  if (file.status.st_rdev == makedev(5, 0)) return false;  // /dev/tty: opened by name again
  return terminal::is_pty_slave(file.status.st_rdev) ||
         (file.duplicate && ::isatty(file.duplicate.get()) != 0);
}

std::optional<unsigned> number_behind(const OpenFile& file) {
  if (!S_ISCHR(file.status.st_mode) || !terminal::is_pty_master(file.status.st_rdev) ||
      !file.duplicate)
    return std::nullopt;
  Result<unsigned> number = terminal::number_of(file.duplicate.get());
  return number.ok() ? std::optional(*number) : std::nullopt;
}

// What is asked of the terminal itself.
Status describe(int fd, TerminalRecord& record) {
  const terminal::Modes modes = CK_TRY(terminal::modes_of(fd));
  record.set_modes(&modes, sizeof modes);
  const terminal::Window window = CK_TRY(terminal::window_of(fd));
  record.set_window(&window, sizeof window);
  return {};
}

Status describe_slave(int fd, TerminalRecord& record) {
  int discipline = 0, exclusive = 0;
  if (::ioctl(fd, TIOCGETD, &discipline) != 0) return sys_error("ask for a line discipline");
  if (::ioctl(fd, TIOCGEXCL, &exclusive) != 0) return sys_error("ask for a terminal's mode");
  record.set_discipline(discipline);
  record.set_exclusive(exclusive != 0);
  if (discipline == kUsualDiscipline) return {};
  return make_error(ErrorKind::kRefused, "its line discipline " + std::to_string(discipline) +
                                             " has a state that cannot be saved");
}

Status describe_master(int fd, TerminalRecord& record) {
  int packet = 0, locked = 0;
  if (::ioctl(fd, TIOCGPKT, &packet) != 0 || ::ioctl(fd, TIOCGPTLCK, &locked) != 0)
    return sys_error("ask for a pty's mode");
  record.set_packet(packet != 0);
  record.set_locked(locked != 0);
  return {};
}

// While the queues are read: in packet mode each read would carry a byte of its own, and what is
// exclusive cannot be opened.
class ModePause {
 public:
  ModePause(int master, int slave, const TerminalRecord& record)
      : master_(record.packet() ? master : -1), slave_(record.exclusive() ? slave : -1) {
    set_packet(0);
    if (slave_ >= 0) (void)::ioctl(slave_, TIOCNXCL);
  }
  ~ModePause() {
    set_packet(1);
    if (slave_ >= 0) (void)::ioctl(slave_, TIOCEXCL);
  }
  ModePause(const ModePause&) = delete;
  ModePause& operator=(const ModePause&) = delete;

 private:
  void set_packet(int value) const {
    if (master_ >= 0) (void)::ioctl(master_, TIOCPKT, &value);
  }
  int master_, slave_;
};

// Taken out and put back: there is no other way to see it.
Status capture_queues(int master, int slave, TerminalRecord& record) {
  const ModePause pause(master, slave, record);
  const terminal::Modes modes = CK_TRY(terminal::modes_of(master));
  record.set_output(CK_TRY(terminal::take_output(master)));
  const auto put = CK_TRY(terminal::put_output(master, slave, record.output()));
  record.set_halted(put.halted);
  const terminal::Input input = CK_TRY(terminal::take_input(master, slave));
  record.set_input(input.queued);
  record.set_typed(input.behind);
  if (CK_TRY(terminal::put_input(master, modes, input)) == input.behind.size()) return {};
  return make_error(ErrorKind::kSystem, "it does not take back what was typed");
}

const OpenFile* find_open(const CaptureSession& session, std::uint32_t index, bool master) {
  for (const OpenFile& file : session.files)
    if (session.terminals.file_terminal(file) == index && file.duplicate &&
        terminal::is_pty_master(file.status.st_rdev) == master)
      return &file;
  return nullptr;
}

class Namer {
 public:
  Namer(CaptureSession& session, image::Manifest& manifest)
      : session_(session), manifest_(manifest) {}

  Status run(const OwnTerminal* own) {
    if (own != nullptr)
      CK_TRY(add_pty(TerminalRecord::OWN, CK_TRY(terminal::number_of(own->master.get()))));
    for (const OpenFile& file : session_.files)
      if (const auto number = number_behind(file))
        session_.terminals.by_file[file.index] = CK_TRY(add_pty(TerminalRecord::INSIDE, *number));
    for (const OpenFile& file : session_.files)
      if (is_terminal(file) && !session_.terminals.by_file.contains(file.index))
        session_.terminals.by_file[file.index] = find_or_add(file.status.st_rdev);
    name_controlling();
    return {};
  }

 private:
  Result<std::uint32_t> add_pty(TerminalRecord::Place place, unsigned number) {
    if (by_number_.contains(number))
      return make_error(ErrorKind::kRefused,
                        "the job has two pseudo-terminals of the number " + std::to_string(number));
    TerminalRecord& record = *manifest_.add_terminals();
    record.set_place(place);
    record.set_number(number);
    return by_number_[number] = static_cast<std::uint32_t>(manifest_.terminals_size());
  }

  std::uint32_t find(std::uint64_t device) const {
    if (terminal::is_pty_slave(device))
      if (const auto found = by_number_.find(terminal::slave_number(device));
          found != by_number_.end())
        return found->second;
    const auto found = by_device_.find(device);
    return found == by_device_.end() ? 0 : found->second;
  }

  std::uint32_t find_or_add(std::uint64_t device) {
    if (const std::uint32_t known = find(device)) return known;
    TerminalRecord& record = *manifest_.add_terminals();
    record.set_place(TerminalRecord::OUTSIDE);
    record.set_device(device);
    if (terminal::is_pty_slave(device)) record.set_number(terminal::slave_number(device));
    return by_device_[device] = static_cast<std::uint32_t>(manifest_.terminals_size());
  }

  // All that a terminal controls are in one session; its foreground group may be none of theirs.
  void name_controlling() {
    std::vector<std::optional<proc::ProcessStat>> stats;
    for (const CaptureProcess& process : session_.processes) {
      auto stat = proc::read_stat(process.pid);
      stats.push_back(stat.ok() ? std::optional(std::move(*stat)) : std::nullopt);
    }
    for (std::size_t i = 0; i < stats.size(); ++i) {
      if (!stats[i] || stats[i]->tty == 0 || session_.processes[i].record == nullptr) continue;
      image::ProcessRecord& process = *session_.processes[i].record;
      process.set_terminal(find_or_add(device_of(*stats[i])));
      TerminalRecord& record =
          *manifest_.mutable_terminals(static_cast<int>(process.terminal()) - 1);
      record.set_session(process.sid());
      for (std::size_t member = 0; member < stats.size(); ++member)
        if (stats[member] && stats[member]->pgrp == stats[i]->foreground)
          record.set_foreground(session_.processes[member].record->pgid());
    }
  }

  CaptureSession& session_;
  image::Manifest& manifest_;
  std::map<unsigned, std::uint32_t> by_number_;
  std::map<std::uint64_t, std::uint32_t> by_device_;
};

Status capture_inside(const CaptureSession& session, std::uint32_t index, TerminalRecord& record) {
  const OpenFile* const master = find_open(session, index, true);
  CK_CHECK(master != nullptr);
  const int fd = master->duplicate.get();
  CK_TRY(describe(fd, record));
  CK_TRY(describe_master(fd, record));
  const OpenFile* const slave = find_open(session, index, false);
  if (slave == nullptr) {
    // Opening the slave would show in the master.
    pollfd look{fd, POLLIN, 0};
    (void)::poll(&look, 1, 0);
    record.set_hung_up((look.revents & POLLHUP) != 0);
    if ((look.revents & POLLIN) == 0) return {};
    return make_error(ErrorKind::kTryAgain,
                      "a pseudo-terminal that nobody has open any more has unread output");
  }
  CK_TRY(describe_slave(slave->duplicate.get(), record));
  record.set_permissions(slave->status.st_mode & 0777);
  return capture_queues(fd, slave->duplicate.get(), record);
}

Status capture_own(const CaptureSession& session, std::uint32_t index, TerminalRecord& record,
                   const OwnTerminal& own) {
  CK_TRY(describe(own.master.get(), record));
  int slave = -1;
  if (const OpenFile* open = find_open(session, index, false)) slave = open->duplicate.get();
  if (slave >= 0) CK_TRY(describe_slave(slave, record));
  const ModePause pause(-1, slave, record);
  const terminal::Input input = CK_TRY(own.peek_input());
  record.set_input(input.queued);
  record.set_typed(input.behind);
  return {};
}

}  // namespace

std::uint32_t TerminalNames::file_terminal(const OpenFile& file) const {
  const auto found = by_file.find(file.index);
  return found == by_file.end() ? 0 : found->second;
}

std::uint32_t terminal_of(const CaptureSession& session, const OpenFile& file) {
  return session.terminals.file_terminal(file);
}

Status name_terminals(CaptureSession& session, image::Manifest& manifest, const OwnTerminal* own) {
  Status named = Namer(session, manifest).run(own);
  for (auto [file, index] : session.terminals.by_file)
    session.terminals.outside[index] =
        manifest.terminals(static_cast<int>(index) - 1).place() == TerminalRecord::OUTSIDE;
  return named;
}

Status capture_terminals(CaptureSession& session, image::Manifest& manifest,
                         const OwnTerminal* own) {
  for (int i = 0; i < manifest.terminals_size(); ++i) {
    TerminalRecord& record = *manifest.mutable_terminals(i);
    const auto index = static_cast<std::uint32_t>(i) + 1;
    Status captured;
    if (record.place() == TerminalRecord::INSIDE) {
      captured = capture_inside(session, index, record);
    } else if (record.place() == TerminalRecord::OWN) {
      captured = capture_own(session, index, record, *own);
    } else if (const OpenFile* open = find_open(session, index, false)) {
      captured = describe(open->duplicate.get(), record);
    }
    if (!captured.ok())
      return std::move(captured).error().within("terminal /dev/pts/" +
                                                std::to_string(record.number()));
  }
  return {};
}

}  // namespace ck::resources
