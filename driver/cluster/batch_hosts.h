// Hosts as batch systems list them. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace ck::cluster {

// What `qhost` prints: a heading, a line of dashes, "global", then a host a line.
Result<std::vector<std::string>> parse_qhost(std::string_view text);
// What `sinfo -N` or `sinfo` prints, with or without heading; the last column has names such as
// "node[01-03,7],login".
Result<std::vector<std::string>> parse_sinfo(std::string_view text);
// A host a line; '#' begins a comment.
Result<std::vector<std::string>> parse_host_file(std::string_view text);

}  // namespace ck::cluster
