// /proc/PID/stat of a process or a thread (proc_pid_stat(5)). Any thread may call. The addresses
// and exit_code are 0 without the right to trace the process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::proc {

struct ProcessStat {
  RealPid pid;
  std::string name;
  char state = '?';
  RealPid ppid, pgrp, session;
  int tty = 0;         // device number; 0: no controlling terminal
  RealPid foreground;  // process group of the terminal; 0: none
  std::uint32_t flags = 0;
  std::uint64_t user_ticks = 0, system_ticks = 0;
  long priority = 0, nice = 0, threads = 0;
  std::uint64_t start_time = 0;  // clock ticks after boot: with the pid, names a process for good
  std::uint64_t start_code = 0, end_code = 0, start_stack = 0;
  int exit_signal = 0;
  unsigned realtime_priority = 0, policy = 0;
  std::uint64_t start_data = 0, end_data = 0, start_brk = 0;
  std::uint64_t arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;
  int exit_code = 0;  // a wait status
};

Result<ProcessStat> read_stat(RealPid pid);
Result<ProcessStat> parse_stat(std::string_view text);

}  // namespace ck::proc
