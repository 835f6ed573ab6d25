// The POSIX timers of a process, from /proc/PID/timers (needs CONFIG_CHECKPOINT_RESTORE and
// PTRACE_MODE_ATTACH). What remains of each, only the process itself can ask (timer_gettime).
// Any thread may call.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::proc {

struct PosixTimer {
  int id = 0;
  int signal = 0;
  std::uint64_t value = 0;  // sigev_value
  int notify = 0;           // SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, with SIGEV_THREAD_ID
  RealPid target;           // process, or thread with SIGEV_THREAD_ID
  int clock = 0;
};

Result<std::vector<PosixTimer>> read_posix_timers(RealPid pid);
Result<std::vector<PosixTimer>> parse_posix_timers(std::string_view text);

}  // namespace ck::proc
