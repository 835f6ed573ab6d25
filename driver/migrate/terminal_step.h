// The way to the terminal of a job that is here, for its user at another host. Blocking; in a
// process of the job's owner.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::driver::migrate {

// `stream` leads to the user's end. `server`: only to the server of that keeper; 0: to the job's
// last one, which is started if the job runs without. kNotFound: there is none.
Status connect_terminal(const std::string& jobs_folder, const std::string& job,
                        std::uint64_t server, const UniqueFd& stream);

}  // namespace ck::driver::migrate
