// One frozen thread as a record. Engine thread only.
#pragma once

#include "runtime/capture/freeze.h"
#include "runtime/image/image.pb.h"

namespace ck::capture {

// Also completes the slot's frame with the thread's alternate stack.
Status capture_thread(FrozenProcess& process, std::size_t index, image::ThreadRecord& record);

// Whether `address` is in the agent's library.
bool in_agent(const FrozenProcess& process, std::uint64_t address);

}  // namespace ck::capture
