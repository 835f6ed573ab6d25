// Which pages of shared memory exist, so that holes stay holes. Engine thread only.
#pragma once

#include <vector>

#include "runtime/image/writer.h"
#include "runtime/proc/mailbox.h"

namespace ck::memory {

// Sorted, none twice: two mappings may show the same part of an object.
std::vector<image::Run> merged(std::vector<image::Run> runs);

// mincore(2) in the process of `size` bytes at `begin`, which show the object from `offset` on.
// It does not tell of pages that are swapped out.
Result<std::vector<image::Run>> resident_runs(proc::Mailbox& box, std::uint64_t begin,
                                              std::uint64_t size, std::uint64_t offset);

}  // namespace ck::memory
