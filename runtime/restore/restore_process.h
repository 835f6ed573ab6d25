// The attributes of a restored process, set by itself through the mailbox of its leader, in three
// steps, for some forbid others. Main thread only.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "runtime/image/image.pb.h"
#include "runtime/proc/mailbox.h"

namespace ck::restore {

// prctl(PR_SET_MM_MAP): brk, argv, environment, auxv, /proc/self/exe. After all mappings. `exe_fd`:
// in the process, of its executable; -1: it has none that is mapped, and the path is tried.
Status set_memory_layout(proc::Mailbox& box, const image::ProcessRecord& process, int exe_fd,
                         std::vector<std::string>& warnings);

// Signal dispositions, umask, folders, personality and the like. `page`: where the agent stands
// before the program's handlers (virtual ids), else null.
Status set_attributes(proc::Mailbox& box, const image::ProcessRecord& process,
                      const abi::AgentPage* page);

// Resource limits. When all threads are there: the limit of processes counts them.
void set_limits(RealPid pid, const image::ProcessRecord& process,
                std::vector<std::string>& warnings);

// Discards signals that the restart itself has queued (it blocks all), and sets their dispositions
// again. Before the job's own are queued.
Status discard_pending(proc::Mailbox& box, const image::ProcessRecord& process,
                       const std::set<int>& numbers, const abi::AgentPage* page);

// What starts to run: timers, pending signals.
Status start_clocks(proc::Mailbox& box, const image::ProcessRecord& process,
                    std::vector<std::string>& warnings);

// An ordinary user cannot change them.
void compare_groups(const image::CredentialsRecord& saved, std::vector<std::string>& warnings);

// Groups, securebits and capabilities belong to the thread: each gives up by itself what the
// restart needed and it never had.
Status drop_privileges(proc::Mailbox& box, const image::CredentialsRecord& saved);

// Last: an undumpable process is out of our reach.
Status set_dumpable(proc::Mailbox& box, const image::ProcessRecord& process);

}  // namespace ck::restore
