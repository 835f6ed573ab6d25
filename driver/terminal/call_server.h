// From a process of the job's owner, on the host where the job is, to the server of its terminal.
// Blocking, for a moment.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::driver::terminal {

// The server's abstract socket: of packets as those of a keeper.
std::string server_socket(std::uint64_t pid_namespace, RealPid keeper);

// `stream` leads to the user's end: the server of the terminal that this process keeps, for a job
// of that name, has it now. kNotFound: that has none.
Status give_to_server(RealPid keeper, const std::string& job_name, const UniqueFd& stream);

}  // namespace ck::driver::terminal
