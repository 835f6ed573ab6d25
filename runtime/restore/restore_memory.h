// Makes the image's mappings in the restored process and fills them. The mailbox's thread serves in
// the camp. Main thread only (filling starts threads of its own).
#pragma once

#include <string>
#include <vector>

#include "runtime/image/reader.h"
#include "runtime/memory/restored_objects.h"
#include "runtime/proc/mailbox.h"
#include "runtime/restore/bootstrap.h"
#include "runtime/restore/inherited_memory.h"
#include "runtime/restore/mapped_files.h"
#include "runtime/restore/memory_plan.h"

namespace ck::restore {

// mmap of every step; the descriptors that this opens in the process are left for close_range.
Status map_all(proc::Mailbox& box, const std::vector<MapStep>& steps, MappedFiles& files);

// What the process has already: memory of process `base` of an image, this one or an earlier one.
struct KeptMemory {
  const image::Manifest& image;
  std::uint32_t base = 0;
  std::vector<AddressRange> ranges;  // by address
};

// Unmaps what the process has of its parent and should not have.
Status unmap_all(proc::Mailbox& box, const std::vector<AddressRange>& ranges);

// Memory chunks of process `index` into the mappings that `steps` made, and into what it has kept
// (null: nothing), where only pages that differ are written. With `threads` threads (0: one a
// core).
Status fill_memory(proc::Mailbox& box, const image::Reader& reader, std::uint32_t index,
                   const std::vector<MapStep>& steps, const KeptMemory* kept, unsigned threads,
                   image::Progress* progress);

// Final protections, advice, locks.
Status finish_mappings(proc::Mailbox& box, const std::vector<MapStep>& steps);

// The host's vdso to where the program has its own; where that is another kernel's, the program
// keeps its old one, with jumps into the host's. Leaves a warning-free process or an error.
Status place_vdso(proc::Mailbox& box, const Camp& camp, const image::ProcessRecord& process);

}  // namespace ck::restore
