#include "runtime/resources/io_uring_files.h"

#include <fcntl.h>

#include <algorithm>
#include <csignal>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/text_cursor.h"

namespace ck::resources {
namespace {

// Whether nobody else has the file open, mapped or not: only then is a write lease given
// (fcntl(2)). Taking and giving it back resets what SIGIO is sent to whom, so that nobody may have
// asked for that. Whoever opens the file in that moment waits for the lease's end, and the engine
// gets a signal that does nothing.
bool is_only_open_file(const OpenFile& file) {
  const int fd = file.duplicate.get();
  f_owner_ex owner{};
  if (!S_ISREG(file.status.st_mode) || (file.entry.info.flags & O_ASYNC) != 0 ||
      ::fcntl(fd, F_GETOWN_EX, &owner) != 0 || owner.pid != 0 || ::fcntl(fd, F_GETSIG) != 0 ||
      ::fcntl(fd, F_GETLEASE) != F_UNLCK || ::fcntl(fd, F_SETSIG, SIGURG) != 0)
    return false;
  const bool alone = ::fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
  if (alone) ::fcntl(fd, F_SETLEASE, F_UNLCK);
  ::fcntl(fd, F_SETSIG, 0);
  return alone;
}

// Of an inode that only one open file can have.
bool is_the_only_one(const OpenFile& file) {
  return S_ISSOCK(file.status.st_mode) || is_only_open_file(file);
}

bool has(const OpenFile& file, std::size_t process) {
  return std::any_of(file.holders.begin(), file.holders.end(),
                     [&](const Holder& holder) { return holder.process == process; });
}

Result<std::uint32_t> find_file(const CaptureSession& session, const OpenFile& ring,
                                std::string_view name) {
  const OpenFile* found = nullptr;
  bool several = false;
  for (const OpenFile& file : session.files) {
    if (file.entry.target != name) continue;
    several |= found != nullptr;
    found = &file;
  }
  if (found != nullptr && !several && has(*found, ring.process) &&
      (session.survey || is_the_only_one(*found)))
    return found->index;
  return make_error(ErrorKind::kRefused,
                    "the file " + std::string(name) +
                        " is registered with this io_uring, and nobody can tell which open file "
                        "that is",
                    "it can be told if the job keeps one descriptor of it open, and nobody else "
                    "has it open");
}

}  // namespace

// "    0: /a/name", "    2: socket:[42]"; the places in between are empty.
Status capture_ring_files(const CaptureSession& session, const OpenFile& ring,
                          std::string_view text, IoUringState& state) {
  state.set_file_slots(
      proc::TextCursor(proc::fdinfo_field(text, "UserFiles")).number<std::uint32_t>());
  const std::size_t begin = text.find("UserFiles:"), end = text.find("UserBufs:");
  if (begin == text.npos || end == text.npos || end < begin) return {};
  std::string_view lines = text.substr(begin, end - begin);
  for (std::size_t at; (at = lines.find("\n ")) != lines.npos;) {
    lines.remove_prefix(at + 1);
    const std::string_view line = lines.substr(0, lines.find('\n'));
    const std::size_t colon = line.find(": ");
    const std::string_view name = colon == line.npos ? "" : line.substr(colon + 2);
    if (name == "<none>") continue;
    proc::TextCursor number(line);
    number.blanks();
    IoUringState::File& file = *state.add_files();
    file.set_slot(number.number<std::uint32_t>());
    file.set_open_file(CK_TRY(find_file(session, ring, name)));
  }
  return {};
}

Result<std::vector<std::int32_t>> bring_ring_files(RestoreSession& session,
                                                   const IoUringState& state) {
  std::vector<std::int32_t> descriptors(state.file_slots(), -1);
  for (const IoUringState::File& file : state.files()) {
    if (file.slot() >= descriptors.size() || !session.made.contains(file.open_file()))
      return make_error(ErrorKind::kBadImage, "a file of an io_uring leads to no open file");
    descriptors[file.slot()] = CK_TRY(session.bring(file.open_file()));
  }
  return descriptors;
}

}  // namespace ck::resources
