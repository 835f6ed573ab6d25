#include "runtime/proc/stat.h"

#include "runtime/proc/proc_file.h"
#include "runtime/proc/text_cursor.h"

namespace ck::proc {
namespace {

RealPid pid_or_none(TextCursor& cursor) {
  auto value = cursor.number<pid_t>();
  return RealPid(value > 0 ? value : 0);
}

void skip_fields(TextCursor& cursor, int count) {
  for (int i = 0; i < count; ++i) cursor.word();
}

// Fields 3 to 52, in the order of the manual page.
void parse_fields(TextCursor& cursor, ProcessStat& stat) {
  std::string_view state = cursor.word();
  if (!state.empty()) stat.state = state[0];
  stat.ppid = pid_or_none(cursor);
  stat.pgrp = pid_or_none(cursor);
  stat.session = pid_or_none(cursor);
  stat.tty = cursor.number<int>();
  stat.foreground = pid_or_none(cursor);
  stat.flags = cursor.number<std::uint32_t>();
  skip_fields(cursor, 4);  // page faults
  stat.user_ticks = cursor.number();
  stat.system_ticks = cursor.number();
  skip_fields(cursor, 2);  // times of children
  stat.priority = cursor.number<long>();
  stat.nice = cursor.number<long>();
  stat.threads = cursor.number<long>();
  skip_fields(cursor, 1);
  stat.start_time = cursor.number();
  skip_fields(cursor, 3);  // sizes
  stat.start_code = cursor.number();
  stat.end_code = cursor.number();
  stat.start_stack = cursor.number();
  skip_fields(cursor, 9);  // registers, signals, wait channel, swap
  stat.exit_signal = cursor.number<int>();
  skip_fields(cursor, 1);  // processor
  stat.realtime_priority = cursor.number<unsigned>();
  stat.policy = cursor.number<unsigned>();
  skip_fields(cursor, 3);  // delays, guest times
  stat.start_data = cursor.number();
  stat.end_data = cursor.number();
  stat.start_brk = cursor.number();
  stat.arg_start = cursor.number();
  stat.arg_end = cursor.number();
  stat.env_start = cursor.number();
  stat.env_end = cursor.number();
  stat.exit_code = cursor.number<int>();
}

}  // namespace

Result<ProcessStat> parse_stat(std::string_view text) {
  ProcessStat stat;
  TextCursor cursor(text);
  stat.pid = RealPid(cursor.number<pid_t>());
  // The name may hold anything, ") R 1" included: it ends at the last parenthesis.
  std::size_t open = text.find('('), close = text.rfind(')');
  if (open != text.npos && close != text.npos && open < close) {
    stat.name = text.substr(open + 1, close - open - 1);
    cursor = TextCursor(text.substr(close + 1));
    parse_fields(cursor, stat);
    if (!cursor.failed()) return stat;
  }
  return make_error(ErrorKind::kSystem, "process stat has an unknown form: " + std::string(text));
}

Result<ProcessStat> read_stat(RealPid pid) {
  std::string text = CK_TRY(read_proc(pid, "stat"));
  return parse_stat(text);
}

}  // namespace ck::proc
