#include "runtime/capture/held_threads.h"

#include <unistd.h>

#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"

namespace ck::capture {

Result<HeldThreads> HeldThreads::seize(RealPid process, Deadline deadline) {
  std::vector<TracedThread> threads;
  const bool own_child = CK_TRY(proc::read_status(process)).ppid == RealPid(::getpid());
  for (RealPid tid : CK_TRY(proc::read_program_threads(process)))
    if (auto thread = CK_TRY(TracedThread::seize(tid, process, own_child && tid == process)))
      threads.push_back(std::move(*thread));
  for (TracedThread& thread : threads) CK_TRY(thread.wait_stopped(deadline));
  HeldThreads held(std::move(threads));
  CK_TRY(held.resume());
  return held;
}

void HeldThreads::pump() {
  for (TracedThread& thread : threads_) thread.pump();
}

Result<bool> HeldThreads::stop(Deadline deadline) {
  bool by_job_control = false;
  for (TracedThread& thread : threads_) {
    CK_TRY(thread.interrupt());
    by_job_control |= CK_TRY(thread.wait_stopped(deadline)) == TracedThread::Stop::kGroupStopped;
  }
  return by_job_control;
}

Status HeldThreads::leave(RealPid wanted, Deadline deadline) {
  for (TracedThread& thread : threads_)
    if (thread.tid() == wanted) return thread.run_to_sigreturn(deadline);
  return {};
}

Status HeldThreads::leave_all(Deadline deadline) {
  for (TracedThread& thread : threads_) CK_TRY(thread.run_to_sigreturn(deadline));
  return {};
}

Status HeldThreads::die_with_tracer(bool dies) const {
  for (const TracedThread& thread : threads_) CK_TRY(thread.die_with_tracer(dies));
  return {};
}

Status HeldThreads::resume() {
  for (TracedThread& thread : threads_) CK_TRY(thread.resume());
  return {};
}

}  // namespace ck::capture
