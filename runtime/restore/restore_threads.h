// The threads of a restored process. The leader serves in the agent's loop; the others are cloned
// there, with their ids, and then each sets its own state. Main thread only.
#pragma once

#include <string>
#include <vector>

#include "runtime/image/image.pb.h"
#include "runtime/proc/cpu.h"
#include "runtime/proc/mailbox.h"

namespace ck::restore {

// Thread i of the record serves slot first_slot + i.
Status make_threads(proc::Mailbox& leader, const ControlArea& area, unsigned first_slot,
                    const image::ProcessRecord& process);

// Registers, alternate stack, robust list, rseq, name, scheduling, pending signals of each thread,
// and its frame. `host`: of the image, whose XSAVE layout may differ from ours.
Status set_thread_state(const ControlArea& area, unsigned first_slot,
                        const image::ProcessRecord& process, RealPid pid,
                        const image::HostRecord& host, std::vector<std::string>& warnings);

}  // namespace ck::restore
