#include "runtime/resources/pipe_ends.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vector>

#include "runtime/proc/fdinfo.h"

namespace ck::resources {
namespace {

bool other_end_is_gone(const OpenFile& file) {
  if (!file.duplicate) return false;
  pollfd poll{file.duplicate.get(), 0, 0};
  return ::poll(&poll, 1, 0) > 0 && (poll.revents & (POLLHUP | POLLERR)) != 0;
}

bool is_first_reader(const CaptureSession& session, const OpenFile& file) {
  for (std::size_t i : session.of_inode(file.status.st_dev, file.status.st_ino)) {
    if (session.files[i].reads()) return &session.files[i] == &file;
  }
  return false;
}

bool is_stream_of_first_process(const CaptureSession& session, const OpenFile& file) {
  for (std::size_t i : session.of_inode(file.status.st_dev, file.status.st_ino))
    for (const Holder& holder : session.files[i].holders)
      if (holder.process == 0 && holder.fd <= STDERR_FILENO) return true;
  return false;
}

// Whether a process that will not be in the image has the end of the pipe that the job has not.
// What another user's process has is not told: it is taken to have those of all pipes but the job's
// standard streams.
bool leads_to_left_out(const CaptureSession& session, const OpenFile& file, int missing_access) {
  for (RealPid pid : session.left_out) {
    const auto entries = proc::read_descriptors(pid);
    if (!entries.ok()) {
      if (!is_stream_of_first_process(session, file)) return true;
      continue;
    }
    for (const proc::FdEntry& entry : *entries) {
      const int access = static_cast<int>(entry.info.flags & O_ACCMODE);
      if (entry.target == file.entry.target && (access == missing_access || access == O_RDWR))
        return true;
    }
  }
  return false;
}

// A pipe to copy into, with room for whatever `original` may hold.
Result<std::array<UniqueFd, 2>> scratch_pipe(int capacity) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return sys_error("create a pipe");
  std::array<UniqueFd, 2> pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (::fcntl(ends[1], F_SETPIPE_SZ, capacity) < capacity) {
    return sys_error("create a pipe of " + std::to_string(capacity) + " bytes", EPERM);
  }
  return pipe;
}

// tee(2) copies references and keeps the borders of packets; one read yields one packet.
Status copy_unread(const CaptureSession& session, const OpenFile& file, PipeState& state) {
  int unread = 0;
  if (::ioctl(file.duplicate.get(), FIONREAD, &unread) != 0)
    return sys_error("ask how full a pipe is");
  if (unread == 0) return {};
  std::array<UniqueFd, 2> scratch = CK_TRY(scratch_pipe(static_cast<int>(state.capacity())));
  ssize_t copied = ::tee(file.duplicate.get(), scratch[1].get(), static_cast<std::size_t>(unread),
                         SPLICE_F_NONBLOCK);
  if (copied < 0 && errno == EAGAIN) copied = 0;
  const bool others_read = !session.left_out.empty();  // as they run on
  if (copied < 0 || (copied != unread && !others_read))
    return sys_error("copy the content of a pipe", copied < 0 ? errno : EIO);
  std::vector<char> buffer(state.capacity());
  while (copied > 0) {
    ssize_t got = ::read(scratch[0].get(), buffer.data(), buffer.size());
    if (got <= 0) return sys_error("read the copied content of a pipe");
    state.add_pieces(buffer.data(), static_cast<std::size_t>(got));
    copied -= got;
  }
  return {};
}

}  // namespace

bool is_inside_pipe(const CaptureSession& session, const OpenFile& file) {
  bool reader = false, writer = false;
  for (std::size_t i : session.of_inode(file.status.st_dev, file.status.st_ino)) {
    reader |= session.files[i].reads();
    writer |= session.files[i].writes();
  }
  if (reader && writer) return true;
  if (leads_to_left_out(session, file, reader ? O_WRONLY : O_RDONLY)) return true;
  // A writer without readers on a standard stream gets the restart's stream instead.
  return other_end_is_gone(file) && (reader || session.standard_stream(file) < 0);
}

Status capture_pipe(const CaptureSession& session, const OpenFile& file, PipeState& state) {
  state.set_id(file.status.st_ino);
  if (!file.duplicate || session.survey) return {};
  int capacity = ::fcntl(file.duplicate.get(), F_GETPIPE_SZ);
  if (capacity < 0) return sys_error("ask the size of a pipe");
  state.set_capacity(static_cast<unsigned>(capacity));
  return is_first_reader(session, file) ? copy_unread(session, file, state) : Status();
}

Status refill_pipe(int writer, const PipeState& state) {
  for (const std::string& piece : state.pieces()) {
    ssize_t put = ::write(writer, piece.data(), piece.size());
    if (put != static_cast<ssize_t>(piece.size())) {
      return sys_error("put the content back into a pipe", put < 0 ? errno : EAGAIN);
    }
  }
  return {};
}

}  // namespace ck::resources
