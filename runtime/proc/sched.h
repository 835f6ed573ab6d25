// Scheduling of a thread, and resource limits of a process, asked from outside. Any thread.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::proc {

struct Scheduling {
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;  // SCHED_FLAG_ bits
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
  std::uint32_t util_min = 0, util_max = 0;
  std::vector<std::uint8_t> affinity;  // the kernel's mask, little endian: CPU N is bit N
  int io_priority = 0;                 // IOPRIO_PRIO_VALUE; 0: follows nice
};

Result<Scheduling> read_scheduling(RealPid tid);

struct Limit {
  int resource = 0;  // RLIMIT_
  rlim64_t soft = 0, hard = 0;
};

Result<std::vector<Limit>> read_limits(RealPid pid);

}  // namespace ck::proc
