// The images of a hand-over at the host that the job leaves: of the running job, in rounds, each on
// top of the one before, and the last one. Blocking; in a process of the job's owner.
#pragma once

#include <cstdint>
#include <string>

#include "driver/migrate/steps.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/job_dir.h"

namespace ck::driver::migrate {

wire::Progress progress(const char* what, std::uint64_t done, std::uint64_t total);

struct TakenImage {
  std::string path;
  std::string compression;
};
// On top of the newest that copy_running() has left. `hold`: the job then stands still.
Result<TakenImage> take_image(const StepPlan& plan, const job::JobDir& job, bool hold, double link);

// Until another round would not send much less than the last one. What was sent stays in the job's
// folder, for the last image.
Result<wire::Result> copy_running(const StepPlan& plan, const job::JobDir& job, UniqueFd socket,
                                  const Report& report);
Status remove_early(const std::string& folder);  // the job's

}  // namespace ck::driver::migrate
