// The commands that do a step's work on a job: ckpt, from where this program is installed.
// Blocking; in a process of the job's owner.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::driver::migrate {

struct Pipe {
  UniqueFd reading, writing;
};
Result<Pipe> make_pipe();  // close-on-exec

// Where that command is.
Result<std::string> installed(const std::string& command);

// Its standard output. What it says on standard error when it fails is the Error.
Result<std::string> run_ckpt(const std::vector<std::string>& arguments);

// Starts `ckpt SUBCOMMAND --ready-fd N ARGUMENTS`, which lives on by itself, and waits until it
// says that it is ready: of a restart, that the job runs (with --hold: is held). What it writes
// goes to `log`.
Status start_ckpt(const std::string& subcommand, const std::vector<std::string>& arguments,
                  const std::string& log);

}  // namespace ck::driver::migrate
