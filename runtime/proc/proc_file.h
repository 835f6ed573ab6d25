// Whole files and links below /proc/PID: reading them, writing settings. A thread's id serves
// wherever a process's does: /proc/TID answers for the thread. Any thread may call.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::proc {

std::string proc_path(RealPid pid, std::string_view name);  // "/proc/PID/name"

Result<UniqueFd> open_proc(RealPid pid, std::string_view name, int flags);
Result<std::string> read_proc(RealPid pid, std::string_view name);
// In one write(2), as the kernel wants its settings. Allocates: not between fork(2) and exec(3).
Status write_proc(RealPid pid, std::string_view name, std::string_view text);
Result<std::string> read_proc_link(RealPid pid, std::string_view name);

// The names in /proc/PID/name that are numbers, sorted ("task", "fd", …).
Result<std::vector<int>> list_proc_numbers(RealPid pid, std::string_view name);

// All that can be read from `fd`, which `name` names in an error.
Result<std::string> read_all(int fd, const std::string& name);

}  // namespace ck::proc
