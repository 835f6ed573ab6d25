// The seccomp filter of a job with virtual ids: calls that carry an id raise SIGSYS, unless they
// come from the gate page. What need not be looked at costs next to nothing: the kernel keeps a map
// of calls that pass whatever their arguments are. Pure.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace ck::restore {

// `system_v`: the job knows System V objects by other ids than the kernel (abi/system_v_ids.h).
std::vector<sock_filter> make_id_filter(std::uint64_t gate, bool system_v);

}  // namespace ck::restore
