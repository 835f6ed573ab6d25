#include "runtime/resources/restore.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <set>

#include "runtime/proc/pass_descriptor.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

constexpr std::uint32_t kMeaninglessAtOpen = O_CREAT | O_EXCL | O_TRUNC | O_ASYNC;
constexpr std::uint32_t kChangeable = O_APPEND | O_DIRECT | O_NOATIME | O_NONBLOCK;

std::string file_text(const image::OpenFileRecord& record) {
  return "fd " + std::to_string(record.same_as_fd()) + " -> " + record.name();
}

Result<int> make(RestoreSession& session, const image::OpenFileRecord& record) {
  const Kind* kind = kind_named(record.kind());
  if (kind == nullptr) {
    return make_error(ErrorKind::kBadImage,
                      "the image has an open file of unknown kind '" + record.kind() + "'",
                      "it was written by a newer ckrun");
  }
  Restored made = CK_TRY(kind->restore(session, record));
  return made.ours ? session.give(std::move(made.ours)) : Result<int>(made.theirs);
}

Status make_all(RestoreSession& session, const image::ProcessRecord& process) {
  for (const image::DescriptorRecord& descriptor : process.descriptors()) {
    std::uint32_t index = descriptor.open_file();
    if (session.made.contains(index)) continue;
    const image::OpenFileRecord& record = session.manifest.open_files(static_cast<int>(index) - 1);
    Result<int> fd = make(session, record);
    if (!fd.ok()) return std::move(fd).error().within(file_text(record));
    session.made[index] = *fd;
  }
  return {};
}

Status connect_all(RestoreSession& session) {
  for (auto [index, fd] : session.made) {
    const image::OpenFileRecord& record = session.manifest.open_files(static_cast<int>(index) - 1);
    const Kind* kind = kind_named(record.kind());
    if (kind->connect == nullptr) continue;
    Status status = kind->connect(session, record, fd);
    if (!status.ok()) return std::move(status).error().within(file_text(record));
  }
  return {};
}

bool is_terminal_of_restart(const image::OpenFileRecord& record) {
  return !record.standard_stream().empty();
}

// Who gets SIGIO, and as which signal.
Status set_owners(RestoreSession& session) {
  for (auto [index, fd] : session.made) {
    const image::OpenFileRecord& record = session.manifest.open_files(static_cast<int>(index) - 1);
    if (record.owner() != 0) {
      f_owner_ex owner{};
      owner.type = static_cast<decltype(owner.type)>(record.owner_type());
      owner.pid = record.owner();
      proc::Mailbox& box = session.box();
      auto address = box.put_value(owner);
      CK_TRY(
          box.call("set the owner of " + file_text(record), SYS_fcntl, fd, F_SETOWN_EX, address));
    }
    if (record.io_signal() != 0) {
      CK_TRY(session.box().call("set the signal of " + file_text(record), SYS_fcntl, fd, F_SETSIG,
                                record.io_signal()));
    }
  }
  return {};
}

// Every descriptor of the image gets its number; nothing that restore made is below base.
Status place_all(RestoreSession& session, const image::ProcessRecord& process) {
  proc::Mailbox& box = session.box();
  box.clear();
  for (const image::DescriptorRecord& descriptor : process.descriptors()) {
    if (box.calls_left() == 0) {
      CK_TRY(box.run());
      CK_TRY(box.expect_all("number the descriptors"));
      box.clear();
    }
    box.add(SYS_dup3, session.made.at(descriptor.open_file()), descriptor.fd(),
            descriptor.close_on_exec() ? O_CLOEXEC : 0);
  }
  CK_TRY(box.run());
  CK_TRY(box.expect_all("number the descriptors"));
  box.clear();
  return {};
}

// Last, for it starts the signals, and under the final number: the kernel puts the number that
// O_ASYNC was set under into siginfo's si_fd (fcntl(2), F_SETSIG).
Status start_signals(RestoreSession& session, const image::ProcessRecord& process) {
  std::set<std::uint32_t> started;
  for (const image::DescriptorRecord& descriptor : process.descriptors()) {
    const image::OpenFileRecord& record =
        session.manifest.open_files(static_cast<int>(descriptor.open_file()) - 1);
    if ((record.flags() & O_ASYNC) == 0 || is_terminal_of_restart(record)) continue;
    if (!started.insert(descriptor.open_file()).second) continue;
    CK_TRY(session.box().call("start the signals of " + file_text(record), SYS_fcntl,
                              descriptor.fd(), F_SETFL, record.flags() & (kChangeable | O_ASYNC)));
  }
  return {};
}

Status close_made(RestoreSession& session) {
  proc::Mailbox& box = session.box();
  for (auto [index, fd] : session.made) {
    if (box.calls_left() == 0) {
      CK_TRY(box.run());
      box.clear();
    }
    box.add(SYS_close, fd);
  }
  CK_TRY(box.run());
  box.clear();
  return {};
}

}  // namespace

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

int RestoreSession::at_hand(std::uint32_t open_file) const {
  auto found = made.find(open_file);
  return found == made.end() ? 0 : found->second;
}

Result<int> RestoreSession::duplicate_there(int fd) {
  return static_cast<int>(CK_TRY(box().call("duplicate descriptor " + std::to_string(fd), SYS_fcntl,
                                            fd, F_DUPFD_CLOEXEC, context.base)));
}

Result<int> RestoreSession::move_up(int fd) {
  if (fd >= context.base) return fd;
  int copy = CK_TRY(duplicate_there(fd));
  CK_TRY(box().call("close descriptor " + std::to_string(fd), SYS_close, fd));
  return copy;
}

Result<int> RestoreSession::open_there(const std::string& path, std::uint32_t flags) {
  flags = (flags & ~kMeaninglessAtOpen) | O_CLOEXEC;
  auto name = box().put_string(path);
  long fd = CK_TRY(box().call("open " + path, SYS_openat, AT_FDCWD, name, flags, 0));
  return move_up(static_cast<int>(fd));
}

Result<int> RestoreSession::give(UniqueFd fd) {
  return move_up(
      CK_TRY(proc::pass_descriptor(box(), context.channel, context.channel_fd, fd.get())));
}

Status RestoreSession::set_flags(int fd, std::uint32_t flags) {
  CK_TRY(box().call("set the flags of descriptor " + std::to_string(fd), SYS_fcntl, fd, F_SETFL,
                    flags & kChangeable));
  return {};
}

Status restore_descriptors(const RestoreContext& context, const image::Manifest& manifest,
                           const image::ProcessRecord& process) {
  for (const image::DescriptorRecord& descriptor : process.descriptors()) {
    CK_CHECK(descriptor.fd() < context.base);
  }
  RestoreSession session(context, manifest);
  CK_TRY(session.find_streams());
  CK_TRY(make_all(session, process));
  for (auto [fd, flags] : session.later_flags) CK_TRY(session.set_flags(fd, flags));
  CK_TRY(connect_all(session));
  CK_TRY(set_owners(session));
  CK_TRY(place_all(session, process));
  CK_TRY(start_signals(session, process));
  return close_made(session);
}

}  // namespace ck::resources
