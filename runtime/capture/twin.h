// A copy-on-write twin of a frozen process: its memory at the moment of the freeze, to be read
// while the program runs on. Engine thread only, but for the end of an heir.
#pragma once

#include <memory>
#include <vector>

#include "runtime/capture/freeze.h"

namespace ck::capture {

class Twin {
 public:
  // The parent of the process. One that runs the program must never see the twin: a helper in
  // between ends at once, and the twin goes to the job's reaper.
  enum class Parent { kReaper, kProgram };
  // Shared: no copy, but an heir. A process that is killed has ended at once if somebody else has
  // its memory too; else the kernel gives that back first, which takes some 80 ms a GiB.
  enum class Memory { kCopied, kShared };
  struct Wanted {
    FrozenProcess* process;
    Parent parent;
    Memory memory = Memory::kCopied;
  };
  // One of each, in their order, all forked at the same time. They take slots from
  // process->slots_end() on. The processes must be frozen. Memory that a fork would leave out or
  // wipe (MADV_DONTFORK, MADV_WIPEONFORK) is made to come along for that moment.
  static std::vector<Result<std::unique_ptr<Twin>>> fork(const std::vector<Wanted>& wanted);
  ~Twin();  // ends it

  RealPid pid() const { return pid_; }
  // False: it was killed (out of memory, perhaps); what was read from it since is worthless.
  bool alive() const;

 private:
  friend class TwinFork;
  explicit Twin(RealPid pid) : pid_(pid) {}
  RealPid pid_;
};

}  // namespace ck::capture
