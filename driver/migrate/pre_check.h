// What a host looks at before it accepts a job: all that can be known to fail later. Blocking; in a
// process of the job's owner.
#pragma once

#include <string>

#include "driver/handover/handover.pb.h"
#include "runtime/base/result.h"

namespace ck::driver::migrate {

// The offer has passed handover::check(). kRefused and others, with the one reason to tell.
Status pre_check(const handover::wire::Offer& offer, const std::string& jobs_folder);

}  // namespace ck::driver::migrate
