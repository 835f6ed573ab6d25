// Where the agent and the restorer are: beside the running executable, in a build tree or in an
// installation. Any thread.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace ck::job {

struct Installation {
  std::string agent;     // libckrun.so
  std::string restorer;  // ckrun-restorer
};
Result<Installation> find_installation();

}  // namespace ck::job
