// signalfd(2): a set of signals. The signals themselves are the process's.
#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/text_cursor.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

bool recognises(const CaptureSession&, const OpenFile& file) {
  return file.entry.target == "anon_inode:[signalfd]";
}

Status capture(CaptureSession&, OpenFile& file, image::OpenFileRecord& record) {
  SignalState state;
  proc::TextCursor mask(proc::fdinfo_field(file.entry.info.text, "sigmask"));
  state.set_mask(mask.number<std::uint64_t>(16));
  if (mask.failed()) return make_error(ErrorKind::kRefused, "the kernel does not tell its signals");
  record.set_state(state.SerializeAsString());
  return {};
}

Result<Restored> restore(RestoreSession&, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<SignalState>(record));
  std::uint64_t mask = state.mask();
  int flags = SFD_CLOEXEC | static_cast<int>(record.flags() & O_NONBLOCK);
  UniqueFd fd(static_cast<int>(::syscall(SYS_signalfd4, -1, &mask, sizeof mask, flags)));
  if (!fd) return sys_error("create a signalfd");
  return Restored(std::move(fd));
}

}  // namespace

const Kind kSignalFd = {"signalfd", recognises, capture, restore};

}  // namespace ck::resources
