// Brings a fresh restorer to where nothing of the image will be: its serve loop, the control area
// and the vdso move into a hole, all else is unmapped. Main thread only.
#pragma once

#include <vector>

#include "runtime/image/image.pb.h"
#include "runtime/proc/mailbox.h"
#include "runtime/proc/maps.h"

namespace ck::restore {

// Where the restorer camps while the image's mappings are made.
struct Camp {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t code = 0;                 // one page: the serve loop
  std::uint64_t area = 0;                 // the control area
  std::uint64_t vdso = 0;                 // the host's [vvar…][vdso], in their order
  std::vector<proc::Mapping> vdso_parts;  // at their present addresses
};

// An address range of `size` bytes that neither `here` nor the process's mappings in the image (nor
// what the agent maps) touch. Error kRefused: none.
Result<std::uint64_t> find_hole(std::uint64_t size, const std::vector<proc::Mapping>& here,
                                const image::ProcessRecord& process);

// The camp is in the way of no process of the image. After this the mailbox's thread serves in the
// camp.
Result<Camp> move_to_camp(proc::Mailbox& box, const ControlArea& area, int area_fd,
                          const image::Manifest& manifest);

// The camp is in the way of no process of this image either. Error kRefused.
Status check_camp(const Camp& camp, const image::Manifest& manifest);

// When the thread serves in the agent's loop: unmaps what is left of the camp.
Status leave_camp(proc::Mailbox& box, const Camp& camp);

}  // namespace ck::restore
