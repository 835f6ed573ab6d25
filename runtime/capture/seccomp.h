// Which seccomp filters a restart keeps: those that the supervisor has too, by inheritance. A
// filter's program can be read by root alone (PTRACE_SECCOMP_GET_FILTER), so any other is refused.
// Pure.
#pragma once

#include "runtime/base/result.h"
#include "runtime/proc/status.h"

namespace ck::capture {

inline constexpr char kSeccompReason[] = "has installed a seccomp filter, which cannot be kept";

// `status`: of a thread; each has filters of its own. Strict mode is no filter and counts as one.
// `virtual_ids`: one is ours.
inline bool has_own_seccomp(const proc::ProcessStatus& status,
                            const proc::ProcessStatus& supervisor, bool virtual_ids) {
  const bool strict = status.seccomp == 1 && supervisor.seccomp != 1;
  const unsigned known = supervisor.seccomp_filters + (virtual_ids ? 1 : 0);
  const bool first = status.seccomp != 0 && supervisor.seccomp == 0 && !virtual_ids;
  return strict || first || status.seccomp_filters > known;
}

}  // namespace ck::capture
