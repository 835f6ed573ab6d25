// Memory in advance: processes are made, and filled, from one image of a job that still runs
// elsewhere, and take the place of a later image's. Pure; each refusal is of kind kRefused.
#pragma once

#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"
#include "runtime/restore/memory_plan.h"
#include "runtime/restore/tree_plan.h"

namespace ck::restore {

// Whether nothing of the job but its processes, their own memory and terminals is needed for that.
Status check_in_advance(const image::Manifest& manifest);

// Whether the processes of `earlier`, filled and nothing else, can be those of `later`.
Status check_successor(const image::Manifest& earlier, const image::Manifest& later,
                       const TreeOptions& options);

// The steps that `earlier`'s memory was made with, as if it had been `later`'s: with the numbers
// that its mapped files have there. What is not in `later`, or is another file now, has none.
void renumber_files(std::vector<MapStep>& steps, const image::Manifest& earlier,
                    const image::Manifest& later);

// As the job's clocks are when so much time has passed since its checkpoint as the host's clock
// says.
image::ClockRecord clocks_now(const image::ClockRecord& at_checkpoint);

// Whether a job's clock that shows `now` can be that of a job that has seen `saved`: it never goes
// back, and leaps no further than a job stands still.
Status check_clocks(const image::ClockRecord& saved, const image::ClockRecord& now);

}  // namespace ck::restore
