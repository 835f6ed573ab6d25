// A userfaultfd(2) of another process, by its mailbox. Engine thread only.
#pragma once

#include <cstdint>

#include "runtime/proc/mailbox.h"

namespace ck::proc {

// Held by us alone: the process has no descriptor of it, and its end undoes whatever was registered
// by it. None where the kernel refuses it or lacks one of `features` (UFFD_FEATURE_).
Result<UniqueFd> open_userfault(Mailbox& box, std::uint64_t features);

// UFFDIO_REGISTER_MODE_`s. False: the mapping cannot be registered.
bool register_range(int userfault, std::uint64_t begin, std::uint64_t end, std::uint64_t mode);

}  // namespace ck::proc
