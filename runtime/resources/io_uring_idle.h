// Whether a ring of a frozen job is idle, and what it holds that cannot be kept. Engine thread
// only.
#pragma once

#include <vector>

#include "runtime/base/result.h"
#include "runtime/proc/mailbox.h"
#include "runtime/resources/io_uring_ring.h"

namespace ck::resources {

// Who may ask the kernel about a ring: the engine, or, of one with IORING_SETUP_SINGLE_ISSUER, only
// the thread that uses it.
class RingIssuer {
 public:
  // `fd`: of the ring in the process that the threads are of. Refuses a ring that nobody may ask,
  // or only for some things; one that is not enabled yet is an Error that_passes().
  static Result<RingIssuer> find(const Ring& ring, std::vector<proc::Mailbox>& threads, int fd);

  bool is_single() const { return box_ != nullptr; }
  bool is_first_thread() const { return first_; }
  // io_uring_register(2); -errno.
  Result<int> ask(unsigned operation, std::uint64_t argument, unsigned count) const;
  // Lets completions that only wait for the issuer come into the ring.
  Status reap() const;
  // Groups of buffers that requests may choose from; all numbers are tried.
  Result<bool> has_buffer_groups() const;

 private:
  RingIssuer(const Ring& ring, proc::Mailbox* box, bool first, int fd)
      : ring_(&ring), box_(box), first_(first), fd_(fd) {}
  const Ring* ring_;
  proc::Mailbox* box_;  // null: the engine
  bool first_;
  int fd_;
};

// Waits while completions come. An Error that_passes() if they do not, but more are due.
Result<RingState> await_idle(const Ring& ring, const RingIssuer& issuer, bool polls);

// After map(). Refuses a ring in which counting proves nothing, as far as its memory shows.
Status check_history(const Ring& ring, const RingLayout& layout);

}  // namespace ck::resources
