// What --pids virtual needs in each restored process (abi/ids.h): the gate page, the agent before
// all of the program's signal handlers, the filter. Main thread only.
#pragma once

#include <span>
#include <vector>

#include "runtime/image/image.pb.h"
#include "runtime/proc/mailbox.h"

namespace ck::restore {

// A process whose memory is there and whose leader serves in the agent's loop.
struct VirtualProcess {
  proc::Mailbox* box;
  const image::ProcessRecord* record;
};

// Where the gate page can be in all of them: chosen anew, as no two jobs need to agree.
Status choose_gate(const ControlArea& area, std::span<const VirtualProcess> processes);

// Makes the page, notes the program's dispositions for the agent, and takes the leader over to the
// serve loop there. The page's contents are returned.
Result<abi::AgentPage> enter_gate(const VirtualProcess& process);

// What the kernel gets in place of the program's own disposition.
abi::KernelSigaction stand_before(const abi::AgentPage& page, const abi::KernelSigaction& own);

// Before the process has other threads, which inherit it.
Status install_filter(const VirtualProcess& process, const abi::AgentPage& page);

// Numbers that the job knows of processes and groups around it: its root's parent, and sessions and
// groups that are none of its own. All processes are in theirs.
Status bind_outer_ids(const ControlArea& area, std::span<const VirtualProcess> processes);

// A mutex that a thread holds while it dies is freed by the kernel, which looks for real ids in it.
Status refuse_robust_mutexes(const VirtualProcess& process);

}  // namespace ck::restore
