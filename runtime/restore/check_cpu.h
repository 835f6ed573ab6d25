// Whether a job that has run on one host can run on this one's CPU. Any thread.
#pragma once

#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"

namespace ck::restore {

// kRefused, with the names of the features that are missing here.
Status check_cpu(const image::HostRecord& host);

}  // namespace ck::restore
