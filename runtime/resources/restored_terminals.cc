// What a restart makes of a job's pseudo-terminals; what they were: terminals.cc.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "runtime/proc/pidfd.h"
#include "runtime/resources/terminals.h"
#include "runtime/terminal/queues.h"

namespace ck::resources {

using image::TerminalRecord;

namespace {

constexpr unsigned kMostNumbers = 4096;

std::string path_of(unsigned number) {
  return "/dev/pts/" + std::to_string(number);
}

}  // namespace

RestoredTerminals::RestoredTerminals(const image::Manifest& manifest)
    : manifest_(&manifest),
      masters_(static_cast<std::size_t>(manifest.terminals_size())),
      slaves_(masters_.size()) {
  for (int i = 0; i < manifest.terminals_size(); ++i)
    if (manifest.terminals(i).place() == TerminalRecord::OWN) own_ = i;
}

bool RestoredTerminals::any() const {
  return std::any_of(
      manifest_->terminals().begin(), manifest_->terminals().end(),
      [](const TerminalRecord& record) { return record.place() != TerminalRecord::OUTSIDE; });
}

void RestoredTerminals::set_own(UniqueFd master) {
  masters_[static_cast<std::size_t>(own_)] = std::move(master);
}

Result<UniqueFd> RestoredTerminals::make_here(unsigned number) const {
  std::optional<UniqueFd> master = CK_TRY(terminal::open_master(number));
  if (!master)
    return make_error(ErrorKind::kRefused, path_of(number) + " is in use on this host",
                      "try --pids namespace");
  return std::move(*master);
}

Result<UniqueFd> RestoredTerminals::make_there(proc::Mailbox& there, unsigned number) const {
  const proc::PidFd process = CK_TRY(proc::PidFd::open(there.pid()));
  std::vector<long> opened;
  Result<UniqueFd> master = UniqueFd();
  while (opened.size() < kMostNumbers) {
    const auto name = there.put_string("/dev/ptmx");
    const long fd = CK_TRY(there.call("open /dev/ptmx", SYS_openat, AT_FDCWD, name,
                                      O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0));
    opened.push_back(fd);
    master = CK_TRY(process.get_descriptor(static_cast<int>(fd)));
    if (CK_TRY(terminal::number_of(master->get())) >= number) break;
  }
  for (long fd : opened) CK_TRY(there.call("close a pty", SYS_close, fd));
  if (CK_TRY(terminal::number_of(master->get())) != number)
    return make_error(ErrorKind::kRefused, path_of(number) + " is in use in the job's namespace",
                      "try --pids real or virtual; of two with one number only one can be there");
  int unlocked = 0;
  if (::ioctl(master->get(), TIOCSPTLCK, &unlocked) != 0) return sys_error("unlock a pty");
  return master;
}

Status RestoredTerminals::make(proc::Mailbox* there) {
  for (int i = 0; i < manifest_->terminals_size(); ++i) {
    const TerminalRecord& record = manifest_->terminals(i);
    if (record.place() != TerminalRecord::INSIDE) continue;
    UniqueFd& master = masters_[static_cast<std::size_t>(i)];
    master =
        CK_TRY(there != nullptr ? make_there(*there, record.number()) : make_here(record.number()));
    // The program's flags are set later; as the kernel makes it, it blocks.
    if (::fcntl(master.get(), F_SETFL, 0) != 0) return sys_error("set the flags of a pty");
  }
  return each([this](std::uint32_t terminal) { return set_window(terminal); });
}

Status RestoredTerminals::become(const image::Manifest& later) {
  manifest_ = &later;
  return each([this](std::uint32_t terminal) { return set_window(terminal); });
}

bool RestoredTerminals::has(std::uint32_t terminal) const {
  return terminal < masters_.size() && masters_[terminal].valid();
}

int RestoredTerminals::master(std::uint32_t terminal) const {
  return masters_[terminal].get();
}

Result<UniqueFd> RestoredTerminals::slave(std::uint32_t terminal, int flags) const {
  return terminal::open_slave(master(terminal), flags);
}

// What waits in the queues. `slave` stays open until all open files are there: the master sees when
// the last one closes it.
Status RestoredTerminals::fill(std::uint32_t terminal) {
  const TerminalRecord& record = manifest_->terminals(static_cast<int>(terminal));
  const int master = masters_[terminal].get();
  terminal::Modes modes{};
  std::memcpy(&modes, record.modes().data(), sizeof modes);
  CK_TRY(terminal::set_modes(master, modes));
  // A slave that nobody has opened yet stays so.
  const bool opened = record.place() == TerminalRecord::OWN || record.permissions() != 0;
  if (!opened && !record.hung_up()) return {};
  UniqueFd& slave = slaves_[terminal];
  slave = CK_TRY(terminal::open_slave(master, O_RDWR | O_NONBLOCK));
  if (record.permissions() != 0 && ::fchmod(slave.get(), record.permissions()) != 0)
    return sys_error("set the mode of a pty");
  const std::size_t typed =
      CK_TRY(terminal::put_input(master, modes, {record.input(), record.typed()}));
  if (record.place() == TerminalRecord::OWN)
    own_rest_ = record.typed().substr(typed);
  else if (typed < record.typed().size())
    return make_error(ErrorKind::kSystem, "it does not take what was typed and not read yet",
                      "restart an earlier image");
  CK_TRY(terminal::put_output(master, slave.get(), record.output()));
  if (record.halted()) return terminal::halt_output(master, slave.get());
  return {};
}

Status RestoredTerminals::set_window(std::uint32_t terminal) const {
  terminal::Window window{};
  const std::string& saved = manifest_->terminals(static_cast<int>(terminal)).window();
  std::memcpy(&window, saved.data(), sizeof window);
  return terminal::set_window(master(terminal), window);
}

Status RestoredTerminals::close(std::uint32_t terminal) {
  const TerminalRecord& record = manifest_->terminals(static_cast<int>(terminal));
  const int master = masters_[terminal].get();
  const int packet = record.packet(), locked = record.locked();
  if (record.exclusive() && slaves_[terminal] && ::ioctl(slaves_[terminal].get(), TIOCEXCL) != 0)
    return sys_error("make a terminal exclusive");
  slaves_[terminal].reset();
  if ((packet != 0 && ::ioctl(master, TIOCPKT, &packet) != 0) ||
      (locked != 0 && ::ioctl(master, TIOCSPTLCK, &locked) != 0))
    return sys_error("set the mode of a pty");
  return {};
}

template <typename Step>
Status RestoredTerminals::each(Step step) {
  for (std::uint32_t i = 0; i < masters_.size(); ++i) {
    if (!masters_[i]) continue;
    if (Status done = step(i); !done.ok())
      return std::move(done).error().within(
          path_of(manifest_->terminals(static_cast<int>(i)).number()));
  }
  return {};
}

Status RestoredTerminals::fill() {
  return each([this](std::uint32_t terminal) { return fill(terminal); });
}

Status RestoredTerminals::finish(std::vector<std::string>& warnings) {
  return each([&](std::uint32_t terminal) -> Status {
    CK_TRY(close(terminal));
    const unsigned number = CK_TRY(terminal::number_of(masters_[terminal].get()));
    const unsigned before = manifest_->terminals(static_cast<int>(terminal)).number();
    if (number != before)
      warnings.push_back("the terminal " + path_of(before) + " is " + path_of(number) + " now");
    return {};
  });
}

}  // namespace ck::resources
