// Pipes with both ends in the job, or whose other end was closed.
#include <fcntl.h>
#include <unistd.h>

#include "runtime/resources/capture.h"
#include "runtime/resources/pipe_ends.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

bool recognises(const CaptureSession&, const OpenFile& file) {
  return S_ISFIFO(file.status.st_mode) && file.entry.target.starts_with("pipe:");
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  if (file.duplicate && !is_inside_pipe(session, file)) {
    return make_error(
        ErrorKind::kRefused, "the other end of this pipe is outside of the job",
        "only standard input, output and error may lead outside; start the job without "
        "it (" +
            std::to_string(file.entry.fd) + ">&-)");
  }
  PipeState state;
  CK_TRY(capture_pipe(session, file, state));
  record.set_state(state.SerializeAsString());
  return {};
}

bool is_packet_pipe(const RestoreSession& session, std::uint64_t id) {
  for (const auto& record : session.manifest.open_files()) {
    PipeState state;
    if (record.kind() == kPipe.name && state.ParseFromString(record.state()) && state.id() == id &&
        (record.flags() & O_DIRECT) != 0) {
      return true;
    }
  }
  return false;
}

Result<RestoreSession::PipeEnds*> pipe_of(RestoreSession& session, const PipeState& state) {
  auto [place, is_new] = session.pipes.try_emplace(state.id());
  if (!is_new) return &place->second;
  int ends[2];
  int packets = is_packet_pipe(session, state.id()) ? O_DIRECT : 0;
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK | packets) != 0) return sys_error("create a pipe");
  place->second.fds = {UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (state.capacity() != 0 && ::fcntl(ends[1], F_SETPIPE_SZ, state.capacity()) < 0) {
    return sys_error("make a pipe " + std::to_string(state.capacity()) + " bytes large");
  }
  return &place->second;
}

// The first open file of an end is the one that pipe2(2) made; further ones came by opening
// /proc/PID/fd/N.
Result<UniqueFd> open_end(RestoreSession::PipeEnds& pipe, std::uint32_t flags) {
  std::size_t end = (flags & O_ACCMODE) == O_WRONLY ? 1 : 0;
  int kept = pipe.fds[end].get();
  UniqueFd fd;
  if (!pipe.given[end] && (flags & O_ACCMODE) != O_RDWR) {
    pipe.given[end] = true;
    fd.reset(::fcntl(kept, F_DUPFD_CLOEXEC, 0));
  } else {
    std::string path = "/proc/self/fd/" + std::to_string(kept);
    fd.reset(::open(path.c_str(), static_cast<int>(flags & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC));
  }
  if (!fd) return sys_error("open the end of a pipe");
  return fd;
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<PipeState>(record));
  RestoreSession::PipeEnds* pipe = CK_TRY(pipe_of(session, state));
  UniqueFd fd = CK_TRY(open_end(*pipe, record.flags()));
  CK_TRY(refill_pipe(pipe->fds[1].get(), state));
  int number = CK_TRY(session.give(std::move(fd)));
  session.later_flags.push_back({{session.process, number}, record.flags()});
  return Restored::in_process(number);
}

}  // namespace

const Kind kPipe = {"pipe", recognises, capture, restore};

}  // namespace ck::resources
