// Control areas that nobody needs any more: their supervisor was killed, so nobody removed the
// file, and no process has it mapped. Any thread.
#pragma once

#include <string>

namespace ck::job {

// Removes those of this user in `folder`. What cannot be examined stays; there is nothing to
// report.
void remove_stale_areas(const std::string& folder);

}  // namespace ck::job
