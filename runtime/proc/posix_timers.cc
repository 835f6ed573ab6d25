#include "runtime/proc/posix_timers.h"

#include <csignal>

#include "runtime/proc/proc_file.h"
#include "runtime/proc/text_cursor.h"

namespace ck::proc {
namespace {

// "signal/pid.123", "signal/tid.124", "none/pid.123": how, and to whom.
void parse_notify(TextCursor& cursor, PosixTimer& timer) {
  if (cursor.accept("signal/")) {
    timer.notify = SIGEV_SIGNAL;
  } else if (cursor.accept("none/")) {
    timer.notify = SIGEV_NONE;
  } else if (cursor.accept("thread/")) {
    timer.notify = SIGEV_THREAD;
  }
  if (cursor.accept("tid.")) {
    timer.notify |= SIGEV_THREAD_ID;
  } else {
    cursor.accept("pid.");
  }
  timer.target = RealPid(cursor.number<pid_t>());
}

bool parse_line(std::string_view line, std::vector<PosixTimer>& timers) {
  TextCursor cursor(line);
  if (cursor.accept("ID: ")) {
    timers.emplace_back().id = cursor.number<int>();
    return !cursor.failed();
  }
  if (timers.empty()) return false;
  PosixTimer& timer = timers.back();
  if (cursor.accept("signal: ")) {
    timer.signal = cursor.number<int>();
    cursor.expect('/');
    timer.value = cursor.number<std::uint64_t>(16);
  } else if (cursor.accept("notify: ")) {
    parse_notify(cursor, timer);
  } else if (cursor.accept("ClockID: ")) {
    timer.clock = cursor.number<int>();
  }
  return !cursor.failed();
}

}  // namespace

Result<std::vector<PosixTimer>> parse_posix_timers(std::string_view text) {
  std::vector<PosixTimer> timers;
  TextCursor lines(text);
  while (!lines.at_end()) {
    std::string_view line = lines.line();
    if (!parse_line(line, timers)) {
      return make_error(ErrorKind::kSystem,
                        "list of timers has a line of unknown form: " + std::string(line));
    }
  }
  return timers;
}

Result<std::vector<PosixTimer>> read_posix_timers(RealPid pid) {
  std::string text = CK_TRY(read_proc(pid, "timers"));
  return parse_posix_timers(text);
}

}  // namespace ck::proc
