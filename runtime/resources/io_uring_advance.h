// A new io_uring is brought to where the old one was. Engine thread only.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/proc/mailbox.h"
#include "runtime/resources/io_uring_ring.h"
#include "runtime/resources/states.pb.h"

namespace ck::resources {

// The ring in the process that it was set up in.
struct RingThere {
  proc::Mailbox* box = nullptr;  // of the thread that set it up
  int fd = -1;
  std::uint64_t rings = 0;  // address of the rings' memory
};

// The kernel's counters, which can only be counted up: by NOPs, of which a new ring is full. The
// ring is mapped (Ring::map()).
Status advance(Ring& ring, const RingLayout& layout, const IoUringState& state,
               const RingThere& there);

// Then the memory of the image, but for what is the kernel's.
void fill(Ring& ring, const RingLayout& layout, const IoUringState& state);

}  // namespace ck::resources
