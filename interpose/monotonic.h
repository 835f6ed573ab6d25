// CLOCK_MONOTONIC for notes of deadlines, cheaper than the vdso's for a thread that asks often: a
// read of the clock serves for half a millisecond or so, in which the time stamp counter, read
// without the vdso's fence, is added. Exact to a few microseconds. Any thread, signal handlers too.
#pragma once

#include <stdint.h>

namespace ck::agent {

int64_t monotonic_ns();

}  // namespace ck::agent
