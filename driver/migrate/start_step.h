// A job is started for a user who sits at another host. Blocking; in a process of that user, which
// is changed for good (working directory, umask).
#pragma once

#include <string>

#include "driver/protocol/peer.pb.h"
#include "runtime/base/result.h"

namespace ck::driver::migrate {

// Returns once the program runs and its terminal can be called, or with what ckrun said instead.
// An Error: ckrun was not started (kNotFound: there is no such working directory), or ended without
// a word. `jobs_folder`: empty: the usual one.
Result<protocol::wire::Started> start_program(const std::string& jobs_folder,
                                              const protocol::wire::RunOrder& order);

}  // namespace ck::driver::migrate
