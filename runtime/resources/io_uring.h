// io_uring instances ("rings"). A restart sets a new one up and brings it to where the old one was:
// the kernel's counters by as many NOPs as the program has made requests, the memory of both rings
// from the image, the mappings at their old addresses.
//
// Only an idle ring is kept: what the kernel is at work on cannot be asked for. A ring is idle when
// as many completions have come as requests were taken, and nothing waits in its lists. While the
// job is frozen it makes no new requests, so those to files come to their end; what does not (a
// read from an empty pipe) is an Error that_passes(). Counting proves nothing where requests do not
// report exactly once (multishot, zero-copy, CQE_SKIP, messages between rings): such rings are
// refused, as far back as the rings still show what was asked.
//
// The setup flags cannot be asked for. How they are found:
//   SQPOLL                   fdinfo shows the thread
//   SQE128, CQE32, NO_SQARRAY  fdinfo shows entries in their form; sizes of the memory
//   SINGLE_ISSUER            EEXIST for others than the issuer
//   DEFER_TASKRUN            EEXIST for others that wait
//   IOPOLL                   registering NAPI is EINVAL
//   R_DISABLED               EBADFD; passes
// Not found, and of no matter to what a program sees: COOP_TASKRUN and TASKRUN_FLAG (not set again;
// with DEFER_TASKRUN both are implied), ATTACH_WQ, SQ_AFF and the polling thread's idle time (the
// default again), HYBRID_IOPOLL, limits and affinity of workers, NAPI. SUBMIT_ALL is always set: a
// program without it is prepared for fewer requests taken than asked, not for more harm. Of a
// SINGLE_ISSUER ring whose issuer is not the first thread, SINGLE_ISSUER and DEFER_TASKRUN are not
// set again: completions then come earlier than the program has to expect.
// Registered buffers are shown with their addresses; files only by name (io_uring_files.h). Asked
// for, and refused if there are any: an eventfd, groups of buffers, restrictions.
// Neither found nor kept: personalities (requests that name one fail then, EINVAL), CLOCK_BOOTTIME
// for time-outs (REGISTER_CLOCK).
#pragma once

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"
#include "runtime/proc/maps.h"

namespace ck::resources {

// The ring (index in Manifest.open_files, plus 1) whose memory a mapping of the process shows.
// After capture_descriptors(). One that no descriptor of the process leads to is refused.
Result<std::uint32_t> ring_of_mapping(const image::Manifest& manifest,
                                      const image::ProcessRecord& process,
                                      const proc::Mapping& mapping);

}  // namespace ck::resources
