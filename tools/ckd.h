// The subcommands of ckd: each declares its options and, if it was chosen, sets what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "runtime/base/result.h"

namespace ck::tools {

inline constexpr char kCkd[] = "ckd";

using Action = std::function<Result<int>()>;  // the exit status

void declare_init(CLI::App& app, Action& action);
void declare_invite(CLI::App& app, Action& action);
void declare_join(CLI::App& app, Action& action);
void declare_revoke(CLI::App& app, Action& action);

void add_config(CLI::App& app, std::string& target);

}  // namespace ck::tools
