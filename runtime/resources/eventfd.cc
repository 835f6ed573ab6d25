// eventfd(2): a counter.
#include <fcntl.h>
#include <sys/eventfd.h>
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
  return file.entry.target == "anon_inode:[eventfd]";
}

// Before Linux 6.5 fdinfo does not tell a semaphore from a counter: then only reading could.
Status capture(CaptureSession&, OpenFile& file, image::OpenFileRecord& record) {
  const std::string& text = file.entry.info.text;
  EventState state;
  state.set_count(
      proc::TextCursor(proc::fdinfo_field(text, "eventfd-count")).number<std::uint64_t>(16));
  state.set_semaphore(proc::fdinfo_field(text, "eventfd-semaphore") == "1");
  record.set_state(state.SerializeAsString());
  return {};
}

Result<Restored> restore(RestoreSession&, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<EventState>(record));
  int flags = EFD_CLOEXEC | EFD_NONBLOCK | (state.semaphore() ? EFD_SEMAPHORE : 0);
  UniqueFd fd(::eventfd(0, flags));
  if (!fd) return sys_error("create an eventfd");
  std::uint64_t count = state.count();
  if (count != 0 && ::write(fd.get(), &count, sizeof count) != sizeof count) {
    return sys_error("set an eventfd to " + std::to_string(count));
  }
  ::fcntl(fd.get(), F_SETFL, record.flags() & O_NONBLOCK);
  return Restored(std::move(fd));
}

}  // namespace

const Kind kEventFd = {"eventfd", recognises, capture, restore};

}  // namespace ck::resources
