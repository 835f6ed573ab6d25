// The threads of a process that job control has stopped, while they serve: they stay traced, for
// only a traced thread of a stopped process can go on. Untraced again they are stopped as before,
// and their parent is told nothing. Engine thread only (restart: the supervisor's main thread).
#pragma once

#include <vector>

#include "runtime/capture/trace.h"

namespace ck::capture {

class HeldThreads {
 public:
  HeldThreads() = default;
  // Threads that go on, traced.
  explicit HeldThreads(std::vector<TracedThread> threads) : threads_(std::move(threads)) {}
  // All threads of a process in which none is started meanwhile.
  static Result<HeldThreads> seize(RealPid process, Deadline deadline);

  bool empty() const { return threads_.empty(); }
  void pump();  // lets go on what has stopped unasked: now and then while an answer is awaited
  // Stops all; true: job control has stopped the process.
  Result<bool> stop(Deadline deadline);
  Status resume();
  // Of stopped ones: they are killed when the calling thread ends. Else they are only untraced.
  Status die_with_tracer(bool dies) const;
  // After stop(), and after the thread was told to leave the serve loop: it stands at the program's
  // next instruction.
  Status leave(RealPid thread, Deadline deadline);
  Status leave_all(Deadline deadline);
  void let_go() { threads_.clear(); }

 private:
  std::vector<TracedThread> threads_;
};

}  // namespace ck::capture
