// timerfd_create(2): what remained goes on to remain; timers on the real time keep their moment.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "runtime/base/timespec.h"
#include "runtime/proc/fdinfo.h"
#include "runtime/proc/text_cursor.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

constexpr unsigned long kSetTicks = _IOW('T', 0, std::uint64_t);  // TFD_IOC_SET_TICKS

bool recognises(const CaptureSession&, const OpenFile& file) {
  return file.entry.target == "anon_inode:[timerfd]";
}

bool is_real_time(int clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
}

std::uint64_t field(std::string_view text, std::string_view name, int base = 10) {
  return proc::TextCursor(proc::fdinfo_field(text, name)).number<std::uint64_t>(base);
}

Status capture(CaptureSession&, OpenFile& file, image::OpenFileRecord& record) {
  if (!file.duplicate) return {};
  // Asking makes the kernel count the expirations of a periodic timer that nobody has read; only
  // then are the ticks that fdinfo shows all of them.
  itimerspec now{};
  if (::timerfd_gettime(file.duplicate.get(), &now) != 0) return sys_error("ask a timerfd");
  timespec real{};
  ::clock_gettime(CLOCK_REALTIME, &real);
  proc::FdInfo info = CK_TRY(proc::read_fdinfo(file.pid, file.entry.fd));
  TimerState state;
  state.set_clock(static_cast<int>(field(info.text, "clockid")));
  std::uint64_t flags = field(info.text, "settime flags", 8);
  state.set_cancel_on_set((flags & TFD_TIMER_CANCEL_ON_SET) != 0);
  state.set_ticks(field(info.text, "ticks"));
  state.set_remaining_ns(to_nanoseconds(now.it_value));
  state.set_interval_ns(to_nanoseconds(now.it_interval));
  state.set_armed(state.remaining_ns() != 0);
  if (is_real_time(state.clock()) && (flags & TFD_TIMER_ABSTIME) != 0 && state.armed()) {
    state.set_deadline_ns(to_nanoseconds(real) + state.remaining_ns());
  }
  record.set_state(state.SerializeAsString());
  return {};
}

Status arm(int fd, const TimerState& state) {
  itimerspec time{};
  int flags = 0;
  if (state.deadline_ns() > 0) {
    flags = TFD_TIMER_ABSTIME | (state.cancel_on_set() ? TFD_TIMER_CANCEL_ON_SET : 0);
    time.it_value = to_timespec(state.deadline_ns());
  } else {
    time.it_value = to_timespec(std::max<std::int64_t>(state.remaining_ns(), 1));
  }
  time.it_interval = to_timespec(std::max<std::int64_t>(state.interval_ns(), 0));
  if (::timerfd_settime(fd, flags, &time, nullptr) != 0) return sys_error("set a timerfd");
  return {};
}

Result<Restored> restore(RestoreSession&, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<TimerState>(record));
  int flags = TFD_CLOEXEC | static_cast<int>(record.flags() & O_NONBLOCK);
  UniqueFd fd(::timerfd_create(state.clock(), flags));
  if (!fd) return sys_error("create a timerfd on clock " + std::to_string(state.clock()));
  if (state.armed()) CK_TRY(arm(fd.get(), state));
  std::uint64_t ticks = state.ticks();
  if (ticks != 0 && ::ioctl(fd.get(), kSetTicks, &ticks) != 0) {
    return sys_error("give a timerfd its unread expirations");
  }
  return Restored(std::move(fd));
}

}  // namespace

const Kind kTimerFd = {"timerfd", recognises, capture, restore};

}  // namespace ck::resources
