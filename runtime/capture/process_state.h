// What a frozen process and its threads are, apart from memory and descriptors: read from /proc,
// and asked of the process itself through the mailbox where only it can tell. Engine thread only.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/capture/freeze.h"
#include "runtime/capture/thread_state.h"
#include "runtime/image/image.pb.h"

namespace ck::capture {

// What the process has asked for mappings to come (mlockall(2) with MCL_FUTURE), which shows only
// in one that is made.
class FreshPage {
 public:
  void add_to(proc::Mailbox& box);
  std::uint32_t locked(const proc::Mailbox& box) const;  // MCL_ flags; 0: not at all

 private:
  proc::Mailbox::Address resident_ = 0;
  unsigned mapped_ = 0, discarded_ = 0;  // numbers of calls
};

class ProcessCapture {
 public:
  explicit ProcessCapture(FrozenProcess& process);
  // Asks the process and its threads, and returns at once: the processes of a job answer at the
  // same time.
  void ask();
  // Waits for the answers. Fills everything of `record` but mappings, descriptors and locks, and
  // each thread's slot with what the thread's release needs (alternate stack, eintr_signals).
  Status capture(image::ProcessRecord& record, image::ClockRecord& clocks);

 private:
  void ask_process(proc::Mailbox& box);
  Status await_answers();
  void read_attributes(image::ProcessRecord& record, image::ClockRecord& clocks) const;
  void read_signal_actions(image::ProcessRecord& record) const;
  Status capture_threads(image::ProcessRecord& record);
  Status refuse_unasked() const;

  FrozenProcess& process_;
  std::deque<proc::Mailbox> boxes_;         // of its threads
  std::vector<ThreadQuestions> questions_;  // the same
  proc::Mailbox::Address actions_ = 0, timers_ = 0, subreaper_ = 0, death_ = 0, times_ = 0;
  FreshPage fresh_page_;
  // Numbers of calls.
  unsigned personality_ = 0, dumpable_ = 0, thp_ = 0, brk_ = 0, parent_ = 0, membarrier_ = 0,
           mdwe_ = 0, merge_ = 0, ldt_ = 0;
};

// The working directory of a process, by name, if it was removed and nobody has made it again: a
// restart needs it.
std::optional<std::string> removed_folder(RealPid pid);

image::HostRecord describe_host();

}  // namespace ck::capture
