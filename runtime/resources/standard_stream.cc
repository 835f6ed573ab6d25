// Streams that lead to the session in which the job was started: its terminal, or a pipe or socket
// whose other end is outside of the job. After a restart the restart's own streams take their
// place.
#include "runtime/resources/standard_stream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/resources/capture.h"
#include "runtime/resources/pipe_ends.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/socket_options.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"
#include "runtime/resources/terminals.h"

namespace ck::resources {
namespace {

constexpr char kTerminal[] = "terminal";
constexpr std::uint32_t kChangeable = O_NONBLOCK | O_APPEND;

bool is_outside_socket(const CaptureSession& session, const OpenFile& file) {
  if (!S_ISSOCK(file.status.st_mode)) return false;
  if (session.standard_stream(file) < 0) return false;
  if (!file.duplicate || int_option(file.duplicate.get(), SOL_SOCKET, SO_DOMAIN) == AF_UNIX)
    return !has_peer_in_job(session, file);
  return leads_outside_by_tcp(session, file);
}

bool is_outside_pipe(const CaptureSession& session, const OpenFile& file) {
  return S_ISFIFO(file.status.st_mode) && session.standard_stream(file) >= 0 &&
         !is_inside_pipe(session, file);
}

bool is_terminal(const CaptureSession& session, const OpenFile& file) {
  return terminal_of(session, file) != 0;  // kPty comes before
}

bool recognises(const CaptureSession& session, const OpenFile& file) {
  return is_terminal(session, file) || is_outside_pipe(session, file) ||
         is_outside_socket(session, file);
}

int number_by_access(const OpenFile& file) {
  return file.access() == O_WRONLY ? 1 : 0;
}

// Whether it is the process's controlling terminal.
bool controls(RealPid pid, const OpenFile& file) {
  Result<proc::ProcessStat> stat = proc::read_stat(pid);
  if (!stat.ok() || stat->tty == 0) return false;
  auto device = static_cast<unsigned>(stat->tty);
  return makedev((device >> 8) & 0xfff, (device & 0xff) | (device >> 12 & 0xfff00)) ==
         file.status.st_rdev;
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  int stream = session.standard_stream(file);
  bool terminal = is_terminal(session, file);
  bool controlling =
      terminal && (controls(session.processes[0].pid, file) || controls(file.pid, file));
  if (stream < 0 && !controlling) {
    return make_error(ErrorKind::kRefused,
                      "it is a terminal, but not that of the program's standard streams");
  }
  if (stream < 0) stream = number_by_access(file);
  StandardStreamState state;
  state.set_stream(static_cast<unsigned>(stream));
  record.set_standard_stream(terminal ? kTerminal : "pipe");
  record.set_state(state.SerializeAsString());
  return {};
}

// A private open file of the same terminal or pipe where file status flags must differ: those of
// the restart's stream are shared with whoever gave it. Not possible for a socket.
Result<int> with_flags(RestoreSession& session, int fd, const image::OpenFileRecord& record) {
  const std::uint32_t flags = record.flags();
  long now =
      CK_TRY(session.box().call("get the flags of a standard stream", SYS_fcntl, fd, F_GETFL, 0));
  const bool signals = record.owner() != 0 || (flags & O_ASYNC) != 0;  // not to others
  if (!signals && ((static_cast<std::uint32_t>(now) ^ flags) & kChangeable) == 0) return fd;
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  Result<int> opened = session.open_there(path, (flags & (O_ACCMODE | kChangeable)) | O_NOCTTY);
  if (opened.ok()) {
    CK_TRY(session.box().call("close descriptor " + std::to_string(fd), SYS_close, fd));
    return opened;
  }
  CK_TRY(session.set_flags(fd, flags));
  return fd;
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<StandardStreamState>(record));
  unsigned stream = state.stream() % 3;
  if (int own = session.std_fds[stream]; own >= 0) {
    int copy = CK_TRY(session.duplicate_there(own));
    return Restored::in_process(CK_TRY(with_flags(session, copy, record)));
  }
  session.warn("standard stream " + std::to_string(stream) + " (" + record.name() +
               ") is /dev/null now: the restart's own is closed");
  return Restored::in_process(CK_TRY(session.open_there("/dev/null", O_RDWR)));
}

// Of this process, which the job's are copies of.
bool lead_to_one_place(int stream, int other) {
  struct stat a {
  }, b{};
  return ::fstat(stream, &a) == 0 && ::fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

}  // namespace

int stream_of_its_own(const RestoreSession& session, const image::DescriptorRecord& descriptor,
                      const image::OpenFileRecord& record) {
  StandardStreamState state;
  if (descriptor.fd() > 2 || record.kind() != kStandardStream.name ||
      record.standard_stream() != kTerminal || !state.ParseFromString(record.state()) ||
      lead_to_one_place(descriptor.fd(), static_cast<int>(state.stream() % 3)))
    return -1;
  return session.std_fds[static_cast<std::size_t>(descriptor.fd())];
}

const Kind kStandardStream = {"stream", recognises, capture, restore};

}  // namespace ck::resources
