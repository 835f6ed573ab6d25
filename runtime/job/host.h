// Which machine and boot: part of what tells whether a job's recorded owner can still be alive.
// Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/result.h"

namespace ck::job {

struct Host {
  std::string name;
  std::string machine_id;  // empty where the system has none
  std::string boot_id;
  std::uint64_t pid_namespace = 0;  // inode
};
Result<Host> this_host();

}  // namespace ck::job
