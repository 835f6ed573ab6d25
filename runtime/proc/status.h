// /proc/PID/status of a process or a thread. Any thread may call.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::proc {

struct ProcessStatus {
  std::string name;  // escapes resolved
  char state = '?';  // R S D T t Z X I
  RealPid tgid, pid, ppid;
  RealPid tracer;  // 0: nobody traces it
  std::uint32_t umask = 0;
  std::array<uid_t, 4> uids{};  // real, effective, saved, file system
  std::array<gid_t, 4> gids{};
  std::vector<gid_t> groups;
  std::vector<pid_t> ns_tgid, ns_pid, ns_pgid, ns_sid;  // outermost namespace first
  bool kernel_thread = false;
  std::uint64_t vm_size = 0, vm_locked = 0, vm_rss = 0;  // bytes
  bool core_dumping = false;
  unsigned threads = 0;
  unsigned queued_signals = 0;
  // Masks: bit N-1 is signal N.
  std::uint64_t pending = 0, shared_pending = 0, blocked = 0, ignored = 0, caught = 0;
  std::uint64_t cap_inheritable = 0, cap_permitted = 0, cap_effective = 0, cap_bounding = 0,
                cap_ambient = 0;
  bool no_new_privs = false;
  int seccomp = 0;  // 0 none, 1 strict, 2 filter
  unsigned seccomp_filters = 0;
};

Result<ProcessStatus> read_status(RealPid pid);
Result<ProcessStatus> parse_status(std::string_view text);

}  // namespace ck::proc
