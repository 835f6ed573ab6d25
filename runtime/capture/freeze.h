// Freezes one process: every thread is diverted into the agent's serve loop and parked there, with
// its registers in its slot. Untraced from then on, except where the process is stopped by job
// control. A whole job: frozen_job.h. Engine thread only.
//
// Protocol: begin_stop() asks all threads to stop; stop() waits until they have, at a place where
// each can be parked; park() writes all frames, diverts, detaches; await_parked() waits until all
// have arrived. A supervisor that dies at any point leaves threads that go on by themselves.
#pragma once

#include <memory>
#include <vector>

#include "runtime/capture/apart.h"
#include "runtime/capture/held_threads.h"
#include "runtime/capture/interrupted_call.h"
#include "runtime/capture/trace.h"
#include "runtime/proc/control_area.h"
#include "runtime/proc/mailbox.h"
#include "runtime/proc/maps.h"
#include "runtime/proc/status.h"

namespace ck::capture {

struct FrozenThread {
  RealPid real;
  pid_t inner = 0;  // in its own pid namespace: what its system calls say
  VirtualPid tid;   // what the program knows
  std::string name;
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
  FrozenProcess(RealPid process, ControlArea& area, Deadline deadline)
      : pid(process), area_(area), deadline_(deadline) {}
  ~FrozenProcess();  // the program goes on

  // Asks the threads that are there to stop, and returns at once.
  Status begin_stop();
  enum class Standing {
    kStopped,  // every thread, where it can be parked
    kEnded,    // a zombie, or gone
    kNotYet,   // goes on; `obstacle` says why
    kStuck,    // as before, but will stop at once when a thread's wait in the kernel ends (vfork,
               // a disk): the next stop() goes on from there
  };
  // Waits for it. What is just passing (a program being started, a thread in the vdso) is let go on
  // for a moment, alone.
  Result<Standing> stop(std::string& obstacle);
  // Takes slots from `first_slot` on, one for each thread.
  Status park(unsigned first_slot);
  Status await_parked();

  // The program goes on. Every signal mask and register is as before.
  Status thaw();
  // All of it is killed while frozen (ckpt --stop): no instruction of the program runs any more.
  void kill();
  // See FrozenJob.
  Status die_with_supervisor(bool dies);

  // After stop(): what of it an image would not keep (apart.h).
  Status refuse_apart() const;

  proc::Mailbox mailbox(std::size_t thread = 0);
  std::vector<proc::Mailbox> mailboxes();  // of all threads
  // Of a copy or a helper of this process. Answers as late as the process itself may.
  proc::Mailbox mailbox_of(unsigned slot, RealPid pid_there) const;
  abi::ThreadSlot& slot(std::size_t thread) const { return *area_.slot(threads[thread].slot); }
  std::size_t thread_count() const { return traced_.size(); }  // after stop()
  unsigned slots_end() const { return first_slot_ + static_cast<unsigned>(threads.size()); }
  ControlArea& area() const { return area_; }
  bool frozen() const { return frozen_; }  // parked, or on its way there

  RealPid pid;
  RealPid witness;      // a living thread, for /proc: a leader that has exited shows nothing there
  pid_t inner_pid = 0;  // as FrozenThread::inner
  VirtualPid virtual_pid;
  abi::AgentPage agent{};
  proc::ProcessStatus status;
  std::vector<proc::Mapping> mappings;
  std::vector<FrozenThread> threads;  // the leader first, unless it has exited
  std::vector<QueuedSignal> pending;  // of the process
  bool leader_exited = false;
  bool job_stopped = false;
  bool uncontrolled = false;  // an error was for want of an agent, or of rights over the process
  int dumpable_was = -1;      // where the freeze had to make it dumpable: before that

 private:
  Status seize_new(bool& found_new);
  Result<Standing> stop_all(Deadline stop_by, std::string& obstacle);
  Result<TracedThread::Stop> wait_stopped(std::size_t thread, Deadline stop_by);
  void let_go();
  Status become_traceable();
  Result<bool> leave_vdso(std::string& obstacle);
  Result<bool> find_agent(std::string& obstacle);
  Result<bool> leave_id_handlers(std::string& obstacle);
  Status refuse_uncontrolled();
  bool in_serve_loop(const user_regs_struct& registers) const;
  Result<bool> can_park(std::string& obstacle);
  Status refuse_seccomp(const proc::ProcessStatus& status) const;
  Status refuse_credentials(const proc::ProcessStatus& status) const;
  Status read_statuses();
  Status prepare(std::size_t thread, std::int64_t monotonic_now);
  Status divert();
  void hold_if_stopped();

  ControlArea& area_;
  unsigned first_slot_ = 0;
  Deadline deadline_;
  bool frozen_ = false;
  bool own_child_ = false;                     // of this process: its main thread collects it
  std::vector<TracedThread> traced_;           // until diverted
  std::vector<proc::ProcessStatus> statuses_;  // of traced_
  std::vector<user_regs_struct> registers_;    // of traced_, as they are in the stop
  std::vector<RealPid> seen_;
  std::size_t settled_ = 0;  // of traced_: those that have stopped
  HeldThreads held_;         // stopped by job control: stay traced while frozen
};

// A thread of the process that /proc tells about: nothing of a leader that has called pthread_exit,
// all is root's there, as of an undumpable process.
Result<RealPid> living_thread(RealPid pid);

// Why a process cannot be controlled, with advice; or nothing: it has the agent, or is just being
// started and will have it. `area`: path of the job's control area. Any thread.
struct Uncontrolled {
  std::string reason, advice;
};
Result<std::optional<Uncontrolled>> why_uncontrolled(RealPid process,
                                                     const std::vector<proc::Mapping>& mappings,
                                                     const std::string& area);

// Whether it handles the signal and does not block it: an undumpable process can then be asked to
// be dumpable while it is captured. Pure.
bool listens_to(const proc::ProcessStatus& status, int signal);
inline constexpr char kOutOfReach[] =
    "is undumpable (setgid, not readable, or by its own wish) and does not listen to the request "
    "signal, so it cannot be captured";

// Why: it has other ids than the supervisor, which a restart would not give it; or nothing. Pure.
std::optional<std::string> other_user(const proc::ProcessStatus& status,
                                      const proc::ProcessStatus& supervisor);

// CLOCK_MONOTONIC as the process sees it (its time namespace), in nanoseconds.
std::int64_t monotonic_of(RealPid pid);

}  // namespace ck::capture
