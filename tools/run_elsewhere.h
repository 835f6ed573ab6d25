// ckrun --on HOST: the job runs there, and this process is its window. Main thread only, while
// there is no other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace ck::tools {

struct ElsewherePlan {
  std::string host;
  std::vector<std::string> arguments;  // of ckrun, with the program
  std::optional<bool> own_terminal;    // --pty, --no-pty
};

// The exit status for this process, which is the job's own if its end is heard of. Says itself why
// the program does not run there.
Result<int> run_elsewhere(const ElsewherePlan& plan);

}  // namespace ck::tools
