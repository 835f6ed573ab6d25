// The frozen threads of a process as records. Engine thread only.
#pragma once

#include "runtime/capture/freeze.h"
#include "runtime/image/image.pb.h"

namespace ck::capture {

// What only a thread itself can tell, as calls of its mailbox, and their answers.
class ThreadQuestions {
 public:
  void add_to(proc::Mailbox& box);
  // When the calls are done. Also completes the frame with the thread's alternate stack.
  void read(const proc::Mailbox& box, image::ThreadRecord& record, abi::SignalFrame& frame) const;
  std::uint32_t securebits(const proc::Mailbox& box) const;
  // The signals that wait for the thread, or for the process; all are blocked in it.
  std::uint64_t pending(const proc::Mailbox& box) const;

 private:
  proc::Mailbox::Address stack_ = 0, clear_tid_ = 0, robust_ = 0, pending_ = 0;
  unsigned slack_ = 0, mce_kill_ = 0, securebits_ = 0;
};

// What can be told from outside.
Status capture_thread(FrozenProcess& process, std::size_t index, image::ThreadRecord& record);

// Whether `address` is in the agent's library.
bool in_agent(const FrozenProcess& process, std::uint64_t address);

}  // namespace ck::capture
