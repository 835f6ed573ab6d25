// FIFOs by path.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/resources/capture.h"
#include "runtime/resources/pipe_ends.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

bool recognises(const CaptureSession&, const OpenFile& file) {
  return S_ISFIFO(file.status.st_mode) && file.entry.target.starts_with('/');
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  struct stat found {};
  if (::stat(file.entry.target.c_str(), &found) != 0 || found.st_ino != file.status.st_ino) {
    return make_error(ErrorKind::kRefused, "this FIFO was removed or replaced");
  }
  PipeState state;
  // What others wrote into a FIFO, or will read from it, is theirs.
  if (is_inside_pipe(session, file)) CK_TRY(capture_pipe(session, file, state));
  record.set_state(state.SerializeAsString());
  return {};
}

// Whoever opens a FIFO waits for the other side, unless both sides are open already.
Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<PipeState>(record));
  const std::string& path = record.name();
  UniqueFd both(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!both) return sys_error("open FIFO " + path);
  struct stat found {};
  if (::fstat(both.get(), &found) != 0 || !S_ISFIFO(found.st_mode)) {
    return make_error(ErrorKind::kRefused, path + " is no FIFO any more");
  }
  constexpr std::uint32_t kKept = O_ACCMODE | O_NONBLOCK;
  UniqueFd fd(::open(path.c_str(), static_cast<int>(record.flags() & kKept) | O_CLOEXEC));
  if (!fd) return sys_error("open FIFO " + path);
  // Writers can come back before readers: the content must not go with the last open end.
  if (state.id() != 0) session.pipes[state.id()].fds[0] = std::move(both);
  int unread = 0;
  if (state.pieces_size() > 0 && ::ioctl(fd.get(), FIONREAD, &unread) == 0 && unread == 0) {
    CK_TRY(refill_pipe(session.pipes[state.id()].fds[0].get(), state));
  }
  return Restored(std::move(fd));
}

}  // namespace

const Kind kFifo = {"fifo", recognises, capture, restore};

}  // namespace ck::resources
