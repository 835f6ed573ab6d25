// What a host that is to take a job must know of it, from the job as it runs. Blocking; in a
// process of the job's owner.
#pragma once

#include <string>

#include "driver/migrate/steps.pb.h"
#include "runtime/base/result.h"

namespace ck::driver::migrate {

// `target`: pid, name or id of a job that runs on this host. `user`: its owner's name. `files`: how
// it is to find its files there.
Result<wire::Facts> job_facts(const std::string& target, const std::string& jobs_folder,
                              const std::string& user, const handover::wire::FilesPlan& files);

}  // namespace ck::driver::migrate
