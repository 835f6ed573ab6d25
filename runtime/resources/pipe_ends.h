// Pipes, sockets: whether their other end is in the job too. And what pipes and FIFOs have in
// common.
#pragma once

#include "runtime/resources/capture.h"
#include "runtime/resources/states.pb.h"

namespace ck::resources {

// Both ends are in the job, or the other end is gone for good: nobody else can tell the difference.
// Or a process that is left out of the image has the other end: after a restart it has ended.
bool is_inside_pipe(const CaptureSession& session, const OpenFile& file);
// The same of a connected UNIX socket.
bool has_peer_in_job(const CaptureSession& session, const OpenFile& file);

// A TCP connection to somebody outside of the job.
bool leads_outside_by_tcp(const CaptureSession& session, const OpenFile& file);

// Reads, and leaves there, what is unread in UNIX sockets. Open files that are on their way through
// them join those of the session.
Status collect_unread(CaptureSession& session);

// Capacity, and what is unread, without taking it out: in the record of one reader.
Status capture_pipe(const CaptureSession& session, const OpenFile& file, PipeState& state);
// Puts what was unread into a pipe. `writer`: not blocking, in packet mode if that was the pipe's.
Status refill_pipe(int writer, const PipeState& state);

}  // namespace ck::resources
