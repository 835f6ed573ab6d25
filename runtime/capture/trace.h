// One thread of another process, traced: the ptrace calls that a freeze needs, as a type that
// always detaches. Engine thread only (ptrace requests must come from the thread that seized).
#pragma once

#include <signal.h>
#include <sys/user.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::capture {

using Deadline = std::chrono::steady_clock::time_point;

struct RseqState {
  std::uint64_t address = 0;  // 0: not registered
  std::uint32_t size = 0;
  std::uint32_t signature = 0;
};

struct QueuedSignal {
  int number = 0;
  std::vector<std::byte> siginfo;  // siginfo_t, as PTRACE_PEEKSIGINFO gives it
};

class TracedThread {
 public:
  enum class Stop { kTrapped, kGroupStopped, kGone };

  // Seizes and asks it to stop; does not wait. Nothing, without an error: the thread is gone.
  // `own_child`: the thread leads a child of this process, whose end is not ours to collect; of any
  // other, the real parent is told of the end only when the tracer has collected it (ptrace(2)).
  static Result<std::optional<TracedThread>> seize(RealPid tid, RealPid process, bool own_child);
  TracedThread(TracedThread&& other) noexcept;
  TracedThread& operator=(TracedThread&& other) noexcept;
  ~TracedThread();  // detaches; the thread goes on

  // Waits for the stop; signals that arrive before are delivered as if nobody traced. An Error of
  // kind kTryAgain at the deadline (the thread is in an uninterruptible wait).
  Result<Stop> wait_stopped(Deadline deadline);
  // Collects it if it has ended, also one that had stopped (SIGKILL, an exec of another thread).
  void collect();
  // Of one that does not stop: the kernel detaches it when the calling thread ends.
  void leave_to_kernel();

  RealPid tid() const { return tid_; }
  bool stopped() const { return stopped_; }
  Result<user_regs_struct> registers() const;
  Status set_registers(const user_regs_struct& registers) const;
  Result<std::vector<std::byte>> xstate() const;  // XSAVE image, standard format
  Result<std::uint64_t> signal_mask() const;      // the true one, not that of a sigsuspend
  Status set_signal_mask(std::uint64_t mask) const;
  Result<RseqState> rseq() const;
  Result<bool> dispatches_calls() const;  // PR_SET_SYSCALL_USER_DISPATCH is on
  Result<std::vector<QueuedSignal>> queued_signals(bool of_process) const;
  Status die_with_tracer(bool dies) const;  // of a stopped one; see HeldThreads
  Status detach();                          // the thread runs on
  Status resume();                          // the same, still traced
  Status interrupt();                       // after resume(): asks it to stop again
  void pump();  // after resume(): lets it go on where it has stopped unasked
  // Stopped in the serve loop, or on its way into it, and told to leave it: goes on until
  // rt_sigreturn(2) has set its registers, and stops there before the program's next instruction.
  Status run_to_sigreturn(Deadline deadline);
  // Goes on until, at the end of a system call, `enough` says so, and stops there. Signals are
  // delivered meanwhile.
  Status run_until(Deadline deadline, const std::function<Result<bool>()>& enough);

 private:
  TracedThread(RealPid tid, RealPid process, bool own_child)
      : tid_(tid), process_(process), own_child_(own_child) {}
  Error failed(const char* request) const;
  Error gone();
  Result<siginfo_t> next_stop(Deadline deadline);  // of any kind; kNotFound: the thread has ended
  Status run_to_call_stop(Deadline deadline);
  bool enters_sigreturn() const;
  bool leaves_call() const;

  RealPid tid_;
  RealPid process_;
  bool own_child_ = false;
  bool stopped_ = false;
  mutable std::optional<user_regs_struct> registers_;  // while it stands still
};

}  // namespace ck::capture
