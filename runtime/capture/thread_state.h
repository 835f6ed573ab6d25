// The frozen threads of a process as records. Engine thread only.
#pragma once

#include "runtime/capture/freeze.h"
#include "runtime/image/image.pb.h"

namespace ck::capture {

// Also completes the slots' frames with the threads' alternate stacks.
Status capture_threads(FrozenProcess& process, image::ProcessRecord& record);

// Whether `address` is in the agent's library.
bool in_agent(const FrozenProcess& process, std::uint64_t address);

}  // namespace ck::capture
