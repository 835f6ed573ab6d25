// Virtual ids inside a process of the job (abi/ids.h). A seccomp filter, made by the restart and
// inherited by all that the job starts, turns each system call that carries an id into a SIGSYS,
// unless it comes from the gate page. The handler answers it, or lets the program's thread make the
// call from a stub in the gate page, with its own signal mask and on its own stack; so nothing in
// the handler ever waits, and all signals are blocked there. Thus a thread that blocks SIGSYS is in
// here, and may hold real ids; anywhere else it holds none, but for a stub's registers.
//
// No libc, no lock, general registers only: this runs at any instruction of the program.
#pragma once

#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

#include "interpose/agent.h"
#include "runtime/abi/gate.h"

namespace ck::agent {

inline constexpr uint64_t kSigsysBit = uint64_t{1} << (SIGSYS - 1);
inline constexpr uint64_t kRedZone = 128;
// Below the signal frame, where the handler's own frames do not come: for a CallRecord.
inline constexpr uint64_t kReserve = 328;
inline constexpr uint64_t kExtraBytes = kReserve - sizeof(abi::CallRecord) - 16;

inline abi::AgentPage* agent_page() {
  return reinterpret_cast<abi::AgentPage*>(abi::address_of(area) - abi::kAgentPageBytes);
}
inline abi::IdTable* ids() {
  return &area->ids;
}

// A system call from the gate page: not trapped.
inline int64_t call(int64_t number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0,
                    uint64_t e = 0, uint64_t f = 0) {
  using Gate = int64_t (*)(int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
  return reinterpret_cast<Gate>(agent_page()->gate)(number, a, b, c, d, e, f);
}

inline bool failed(int64_t result) {
  return result < 0 && result > -4096;
}

inline int32_t as_id(uint64_t value) {
  return static_cast<int32_t>(value);
}
inline uint64_t real(uint64_t id) {
  return static_cast<uint64_t>(int64_t{abi::to_real(ids(), as_id(id))});
}
inline uint64_t signed_real(uint64_t id) {
  return static_cast<uint64_t>(int64_t{abi::signed_to_real(ids(), as_id(id))});
}
inline int32_t virtual_id(int64_t id) {
  return abi::to_virtual(ids(), static_cast<int32_t>(id));
}

// The program's memory, which may not be there: false, and the call fails with EFAULT.
bool read_memory(void* to, uint64_t from, size_t bytes);
bool write_memory(uint64_t to, const void* from, size_t bytes);

void make_virtual(siginfo_t* info);

// One trapped system call.
class Trap {
 public:
  explicit Trap(ucontext_t* context) : context_(context), regs_(context->uc_mcontext.gregs) {
    static constexpr int kPlaces[6] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    number = regs_[REG_RAX];
    for (int i = 0; i < 6; ++i) args[i] = static_cast<uint64_t>(regs_[kPlaces[i]]);
  }

  int64_t number;
  uint64_t args[6];

  void answer(int64_t result) { regs_[REG_RAX] = result; }
  // Makes the call at once, with `args` as they are now.
  int64_t make() { return call(number, args[0], args[1], args[2], args[3], args[4], args[5]); }

  // The two ways to let the thread make the call when the handler has returned. `args` may be
  // changed between begin_record() and these. Plain: the thread goes on with the result as it is.
  // Checked: it comes back, and finish() has the last word.
  abi::CallRecord* begin_record();
  // Behind the record, kExtraBytes of memory that arguments may point to.
  template <typename T>
  static T* extra(abi::CallRecord* record) {
    return reinterpret_cast<T*>(record + 1);
  }
  void go_plain(const abi::CallRecord* record) { go(record, agent_page()->plain_call); }
  void go_checked(const abi::CallRecord* record) { go(record, agent_page()->checked_call); }

  uint64_t& mask() { return *reinterpret_cast<uint64_t*>(&context_->uc_sigmask); }
  ucontext_t* context() { return context_; }
  greg_t* registers() { return regs_; }

 private:
  void go(const abi::CallRecord* record, uint32_t stub);
  bool on_other_stack() const;
  ucontext_t* context_;
  greg_t* regs_;
};

// Sets the registers to what they are after the program's system call, but for its result.
void leave_record(const abi::CallRecord& record, greg_t* regs);
// The same before the call, so that it is made again.
void undo_record(const abi::CallRecord& record, greg_t* regs);
// The thread has made the call of a checked record: what the program sees of it.
int64_t finish(abi::CallRecord& record, int64_t result, uint64_t& mask);

// Calls by subject; false: not one of these.
bool trap_identity(Trap& trap);
bool trap_targets(Trap& trap);
bool trap_objects(Trap& trap);
bool trap_system_v(Trap& trap);
bool trap_signals(Trap& trap);
bool trap_waits(Trap& trap);
bool trap_children(Trap& trap);
bool trap_futex(Trap& trap);

int64_t finish_wait(const abi::CallRecord& record, int64_t result);
int64_t finish_child(abi::CallRecord& record, int64_t result, uint64_t& mask);
// Sets `again` if the call has to be made again.
int64_t finish_futex(int64_t result, bool& again);

// A new process or thread of the job: the id it is known by.
int32_t adopt_id(int32_t real);
// One that has been collected.
void forget_id(int32_t real);

// A path below /proc with the ids in it as the kernel has them: `path`, or a copy in `room`.
inline constexpr size_t kPathRoom = 512;
const char* real_path(const char* path, char (&room)[kPathRoom]);

// The constructor's part: after exec in a job of virtual ids. Before any call that is trapped.
void begin_virtual_ids();
// Addresses that the engine needs, on the agent's page, whose first part is there; in every job.
void describe_virtual_ids(abi::AgentPage* page);

}  // namespace ck::agent
