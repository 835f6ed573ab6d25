// Diagnostics for engine and tools (not for users: their messages are Errors). Silent unless
// CKRUN_LOG=trace|debug|info|warn is set; written to standard error. Any thread.
#pragma once

#include <spdlog/spdlog.h>

namespace ck::log {
// Reads CKRUN_LOG; called once by each tool's main.
void init(const char* tool);
}  // namespace ck::log
