// Pseudo-terminals of the job: masters and slaves whose master the job has, and slaves of the
// terminal that ckrun made for it. The terminal itself is terminals.h's.
#include <fcntl.h>

#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"
#include "runtime/resources/terminals.h"

namespace ck::resources {
namespace {

constexpr std::uint32_t kChangeable = O_NONBLOCK | O_APPEND;

bool recognises(const CaptureSession& session, const OpenFile& file) {
  const std::uint32_t index = terminal_of(session, file);
  return index != 0 && !session.terminals.is_outside(index);
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  PtyState state;
  state.set_terminal(terminal_of(session, file));
  state.set_master(terminal::is_pty_master(file.status.st_rdev));
  record.set_state(state.SerializeAsString());
  return {};
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  const auto state = CK_TRY(parse_state<PtyState>(record));
  const RestoredTerminals* const terminals = session.context.terminals;
  const std::uint32_t index = state.terminal() - 1;
  if (terminals == nullptr || !terminals->has(index))
    return make_error(ErrorKind::kBadImage, "it is of a terminal that is not there");
  const auto flags = static_cast<int>(record.flags() & (O_ACCMODE | kChangeable));
  if (!state.master()) return Restored(CK_TRY(terminals->slave(index, flags)));
  UniqueFd master(::fcntl(terminals->master(index), F_DUPFD_CLOEXEC, 0));
  if (!master) return sys_error("duplicate a descriptor");
  if (::fcntl(master.get(), F_SETFL, flags & ~O_ACCMODE) != 0)
    return sys_error("set the flags of a pty");
  return Restored(std::move(master));
}

}  // namespace

const Kind kPty = {"pty", recognises, capture, restore};

}  // namespace ck::resources
