#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>

#include "runtime/proc/pass_descriptor.h"
#include "runtime/resources/restore.h"

namespace ck::resources {
namespace {

constexpr std::uint32_t kMeaninglessAtOpen = O_CREAT | O_EXCL | O_TRUNC | O_ASYNC;
constexpr std::uint32_t kChangeable = O_APPEND | O_DIRECT | O_NOATIME | O_NONBLOCK;

}  // namespace

std::size_t RestoreSession::find_process(pid_t pid) const {
  for (std::size_t i = 0; pid != 0 && i < context.processes.size(); ++i) {
    if (context.processes[i].record->pid() == pid) return i;
  }
  return process;
}

void RestoreSession::warn(std::string text) const {
  if (context.warnings != nullptr) context.warnings->push_back(std::move(text));
}

Status RestoreSession::find_streams() {
  for (std::size_t i = 0; i < std_fds.size(); ++i) {
    int fd = context.std_fds[i];
    if (fd < 0) continue;
    Result<std::int64_t> open = box().call("examine a standard stream", SYS_fcntl, fd, F_GETFD, 0);
    if (open.ok()) std_fds[i] = fd;
    if (!open.ok() && open.error().errnum != EBADF) return std::move(open).error();
  }
  return {};
}

Result<int> RestoreSession::open_there(const std::string& path, std::uint32_t flags) {
  flags = (flags & ~kMeaninglessAtOpen) | O_CLOEXEC;
  auto name = box().put_string(path);
  Result<std::int64_t> fd = box().call("open " + path, SYS_openat, AT_FDCWD, name, flags, 0);
  if (!fd.ok() && fd.error().errnum == EACCES) {
    Result<std::int64_t> forced = open_with_owners_mode(path, flags);
    if (forced.ok()) fd = std::move(forced);
  }
  return move_up(static_cast<int>(CK_TRY(std::move(fd))));
}

// What was opened while its mode allowed it, or was made with a mode that forbids it to others
// only: its owner may change that for the moment.
Result<std::int64_t> RestoreSession::open_with_owners_mode(const std::string& path,
                                                           std::uint32_t flags) {
  const auto name = [&] { return box().put_string(path); };
  const auto path_there = name();
  const auto buffer = box().reserve(sizeof(struct stat));
  CK_TRY(box().call("examine " + path, SYS_stat, path_there, buffer));
  const auto about = box().value_at<struct stat>(buffer);
  if (!S_ISREG(about.st_mode)) return make_error(ErrorKind::kPermission, "it is no file");
  const mode_t mode = about.st_mode & 07777;
  CK_TRY(box().call("change the mode of " + path, SYS_chmod, name(), mode | S_IRUSR | S_IWUSR));
  Result<std::int64_t> fd = box().call("open " + path, SYS_openat, AT_FDCWD, name(), flags, 0);
  CK_TRY(box().call("set the mode of " + path, SYS_chmod, name(), mode));
  return fd;
}

Result<int> RestoreSession::duplicate_there(int fd) {
  return static_cast<int>(CK_TRY(box().call("duplicate descriptor " + std::to_string(fd), SYS_fcntl,
                                            fd, F_DUPFD_CLOEXEC, context.base)));
}

Result<int> RestoreSession::move_up(int fd) {
  CK_TRY(move_all_up(std::span(&fd, 1)));
  return fd;
}

Status RestoreSession::move_all_up(std::span<int> fds) {
  constexpr std::size_t kBatch = abi::kMaxCalls / 2;
  while (!fds.empty()) {
    std::span<int> part = fds.first(std::min(kBatch, fds.size()));
    fds = fds.subspan(part.size());
    std::vector<std::pair<int*, proc::Mailbox::CallRef>> moved;
    box().clear();
    for (int& fd : part) {
      if (fd >= context.base) continue;
      auto copy = box().add(SYS_fcntl, fd, F_DUPFD_CLOEXEC, context.base);
      copy.stop_on_error();
      moved.emplace_back(&fd, copy);
      box().add(SYS_close, fd);
    }
    CK_TRY(box().run());
    CK_TRY(box().expect_all("move descriptors up"));
    for (auto [fd, copy] : moved) *fd = static_cast<int>(box().result(copy));
    box().clear();
  }
  return {};
}

Result<int> RestoreSession::give(UniqueFd fd) {
  return CK_TRY(give(std::span<const UniqueFd>(&fd, 1))).front();
}

Result<std::vector<int>> RestoreSession::give(std::span<const UniqueFd> fds) {
  std::vector<int> numbers;
  for (const UniqueFd& fd : fds) numbers.push_back(fd.get());
  numbers = CK_TRY(proc::pass_descriptors(box(), context.channel, context.channel_fd, numbers));
  CK_TRY(move_all_up(numbers));
  return numbers;
}

Status RestoreSession::set_flags(int fd, std::uint32_t flags) {
  CK_TRY(box().call("set the flags of descriptor " + std::to_string(fd), SYS_fcntl, fd, F_SETFL,
                    flags & kChangeable));
  return {};
}

void RestoreSession::add_made(std::uint32_t open_file, Holder place) {
  made[open_file] = place;
  at_hand_[place.process][open_file] = place.fd;
}

Result<UniqueFd> RestoreSession::fetch(Holder place) {
  auto maker = makers_.find(place.process);
  if (maker == makers_.end()) {
    RealPid pid = context.processes[place.process].mailbox->pid();
    maker = makers_.emplace(place.process, CK_TRY(proc::PidFd::open(pid))).first;
  }
  return maker->second.get_descriptor(place.fd);
}

Status RestoreSession::bring(std::span<const std::uint32_t> open_files) {
  std::map<std::uint32_t, int>& here = at_hand_[process];
  std::vector<std::uint32_t> wanted;
  for (std::uint32_t open_file : open_files)
    if (!here.contains(open_file)) wanted.push_back(open_file);
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  for (std::span<const std::uint32_t> rest = wanted; !rest.empty();) {
    auto part = rest.first(std::min(proc::kMaxPassed, rest.size()));
    rest = rest.subspan(part.size());
    std::vector<UniqueFd> ours;
    for (std::uint32_t open_file : part) ours.push_back(CK_TRY(fetch(made.at(open_file))));
    std::vector<int> numbers = CK_TRY(give(ours));
    for (std::size_t i = 0; i < part.size(); ++i) here[part[i]] = numbers[i];
  }
  return {};
}

Result<int> RestoreSession::bring(std::uint32_t open_file) {
  CK_TRY(bring(std::span(&open_file, 1)));
  return at_hand_[process].at(open_file);
}

}  // namespace ck::resources
