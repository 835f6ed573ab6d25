// The memory of an io_uring at its old place in a restored process. Engine thread only.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"
#include "runtime/proc/mailbox.h"

namespace ck::resources {

// Maps what the process had mapped of the ring (index in Manifest.open_files, plus 1), which is its
// descriptor `fd` there. All other memory is in place.
Status place_ring(proc::Mailbox& box, const image::ProcessRecord& process, std::uint32_t open_file,
                  int fd);

}  // namespace ck::resources
