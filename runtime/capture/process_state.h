// What a frozen process and its threads are, apart from memory and descriptors: read from /proc,
// and asked of the process itself through the mailbox where only it can tell. Engine thread only.
#pragma once

#include "runtime/base/result.h"
#include "runtime/capture/freeze.h"
#include "runtime/image/image.pb.h"

namespace ck::capture {

// Fills everything of `record` but mappings, descriptors and locks, and each thread's slot with
// what the thread's release needs (alternate stack, eintr_signals).
Status capture_process(FrozenProcess& process, image::ProcessRecord& record,
                       image::ClockRecord& clocks);

image::HostRecord describe_host();

}  // namespace ck::capture
