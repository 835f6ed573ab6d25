// Job control in a restored tree: processes that are stopped, and what their parents still have to
// hear of it. Main thread only.
#pragma once

#include "runtime/capture/held_threads.h"
#include "runtime/image/image.pb.h"
#include "runtime/proc/mailbox.h"

namespace ck::restore {

// Stops it as it was. It can serve no more lists then: all that is left is to let each of its
// threads leave(). `held`: its threads; `leader`: pumps them while it waits.
Status stop_again(proc::Mailbox& leader, capture::HeldThreads& held,
                  const image::ProcessRecord& process);

// A process that goes on after a stop, as its parent has not heard yet. Before its own signals are
// queued.
Status continue_again(proc::Mailbox& leader, const image::ProcessRecord& process,
                      const abi::AgentPage* page);

// Whether a restored process's parent has something to hear.
bool continues_unheard(const image::ProcessRecord& process);

// The parent hears of a stop that it knew of.
Status hear_of_stop(proc::Mailbox& parent, const image::ProcessRecord& child);

}  // namespace ck::restore
