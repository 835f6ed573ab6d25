// Which files go along with a job, and how they are now. Blocking; in a process of the job's owner.
#pragma once

#include <string>

#include "driver/files/files.pb.h"
#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"

namespace ck::driver::files {

// Of the job of that image: the regular files and FIFOs that it has open or mapped, and all
// below its working directories, as far as they are its own (list.h). What is at `jobs_folder`
// stays. kRefused: too many, too large, unreadable, or the working directory is the home folder
// itself.
Result<wire::List> collect(const image::Manifest& manifest, const std::string& jobs_folder);

}  // namespace ck::driver::files
