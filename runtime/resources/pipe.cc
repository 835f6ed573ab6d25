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
    return make_error(ErrorKind::kRefused, "the other end of this pipe is outside of the job",
                      "only standard input, output and error may lead outside");
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

Result<std::array<UniqueFd, 2>*> pipe_of(RestoreSession& session, const PipeState& state) {
  auto [place, is_new] = session.pipes.try_emplace(state.id());
  if (!is_new) return &place->second;
  int ends[2];
  int packets = is_packet_pipe(session, state.id()) ? O_DIRECT : 0;
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK | packets) != 0) return sys_error("create a pipe");
  place->second = {UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (state.capacity() != 0 && ::fcntl(ends[1], F_SETPIPE_SZ, state.capacity()) < 0) {
    return sys_error("make a pipe " + std::to_string(state.capacity()) + " bytes large");
  }
  return &place->second;
}

// Always another open file than the ones kept for further ends of the same pipe.
Result<UniqueFd> open_end(const std::array<UniqueFd, 2>& ends, std::uint32_t flags) {
  int end = ends[(flags & O_ACCMODE) == O_WRONLY ? 1 : 0].get();
  std::string path = "/proc/self/fd/" + std::to_string(end);
  UniqueFd fd(::open(path.c_str(), static_cast<int>(flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC));
  if (!fd) return sys_error("open the end of a pipe");
  if ((flags & O_DIRECT) != 0 && ::fcntl(fd.get(), F_SETFL, flags & (O_NONBLOCK | O_DIRECT)) != 0) {
    return sys_error("set a pipe to packet mode");
  }
  return fd;
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<PipeState>(record));
  std::array<UniqueFd, 2>* ends = CK_TRY(pipe_of(session, state));
  CK_TRY(refill_pipe((*ends)[1].get(), state));
  return Restored(CK_TRY(open_end(*ends, record.flags())));
}

}  // namespace

const Kind kPipe = {"pipe", recognises, capture, restore};

}  // namespace ck::resources
