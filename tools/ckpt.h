// The subcommands of ckpt: each declares its options and, if it was chosen, sets what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "runtime/base/result.h"

namespace ck::tools {

inline constexpr char kCkpt[] = "ckpt";

using Action = std::function<Result<int>()>;  // the exit status

void declare_save(CLI::App& app, Action& action);
void declare_unhold(CLI::App& app, Action& action);
void declare_suspend(CLI::App& app, Action& action);  // and resume
void declare_restart(CLI::App& app, Action& action);
void declare_ls(CLI::App& app, Action& action);
void declare_inspect(CLI::App& app, Action& action);
void declare_verify(CLI::App& app, Action& action);
void declare_rm(CLI::App& app, Action& action);
void declare_check(CLI::App& app, Action& action);
void declare_attach(CLI::App& app, Action& action);
void declare_serve_terminal(CLI::App& app, Action& action);
void declare_detach(CLI::App& app, Action& action);
void declare_hosts(CLI::App& app, Action& action);
void declare_migrate(CLI::App& app, Action& action);
void declare_drain(CLI::App& app, Action& action);
void declare_top(CLI::App& app, Action& action);
void declare_resolve(CLI::App& app, Action& action);

// ckpt ls --all-hosts.
Result<int> list_all_hosts(bool as_json);

}  // namespace ck::tools
