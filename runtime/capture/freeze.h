// Freezes one process: every thread is diverted into the agent's serve loop and parked there, with
// its registers in its slot. Untraced from then on, except where the process is stopped by job
// control. Engine thread only.
//
// Protocol, per attempt: seize and stop all threads; see whether each can be parked (else let all
// go and try again until the deadline); write all frames; divert, detach; wait until all have
// arrived. A supervisor that dies at any point leaves threads that go on by themselves.
#pragma once

#include <memory>
#include <vector>

#include "runtime/capture/interrupted_call.h"
#include "runtime/capture/trace.h"
#include "runtime/proc/control_area.h"
#include "runtime/proc/mailbox.h"
#include "runtime/proc/maps.h"
#include "runtime/proc/status.h"

namespace ck::capture {

struct FrozenThread {
  RealPid real;
  VirtualPid tid;
  unsigned slot = 0;
  std::uint64_t fs_base = 0;
  std::uint64_t gs_base = 0;
  std::uint32_t xstate_size = 0;
  RseqState rseq;
  std::vector<QueuedSignal> pending;
  RestartClass restart = RestartClass::kNone;
};

class FrozenProcess {
 public:
  // `first_slot`: the slots from there on are free for this process.
  static Result<std::unique_ptr<FrozenProcess>> freeze(RealPid pid, ControlArea& area,
                                                       unsigned first_slot, Deadline deadline);
  ~FrozenProcess();  // thaws

  // The program goes on. Every signal mask and register is as before.
  Status thaw();
  // All of it is killed while frozen (ckpt --stop): no instruction of the program runs any more.
  void kill();

  proc::Mailbox mailbox(std::size_t thread = 0);
  abi::ThreadSlot& slot(std::size_t thread) const { return *area_.slot(threads[thread].slot); }
  unsigned slots_end() const { return first_slot_ + static_cast<unsigned>(threads.size()); }
  ControlArea& area() const { return area_; }

  RealPid pid;
  RealPid witness;  // a living thread, for /proc: a leader that has exited shows nothing there
  VirtualPid virtual_pid;
  abi::AgentPage agent{};
  proc::ProcessStatus status;
  std::vector<proc::Mapping> mappings;
  std::vector<FrozenThread> threads;  // the leader first, unless it has exited
  std::vector<QueuedSignal> pending;  // of the process
  bool leader_exited = false;
  bool job_stopped = false;
  int dumpable_was = -1;  // where the freeze had to make it dumpable: before that

 private:
  FrozenProcess(RealPid process, ControlArea& area, unsigned first_slot)
      : pid(process), area_(area), first_slot_(first_slot) {}
  Result<bool> attempt(Deadline deadline, std::string& obstacle);
  Result<bool> stop_all(std::vector<TracedThread>& traced, Deadline deadline,
                        std::string& obstacle);
  Status become_traceable(Deadline deadline);
  Result<bool> leave_vdso(std::vector<TracedThread>& traced, Deadline deadline,
                          std::string& obstacle);
  Result<bool> find_agent(std::string& obstacle);
  Result<bool> can_park(const std::vector<TracedThread>& traced, std::string& obstacle) const;
  Status refuse_seccomp(const std::vector<TracedThread>& traced) const;
  Status prepare(const TracedThread& thread, std::int64_t monotonic_now);
  Status divert(std::vector<TracedThread>& traced);
  Status let_stop_again();
  void pump_held();

  ControlArea& area_;
  unsigned first_slot_;
  Deadline deadline_;
  bool frozen_ = false;
  std::vector<TracedThread> held_;  // stopped by job control: stay traced while frozen
};

// CLOCK_MONOTONIC as the process sees it (its time namespace), in nanoseconds.
std::int64_t monotonic_of(RealPid pid);

}  // namespace ck::capture
