// The contract between the engine and the injected code (agent and restorer): the control area.
//
// The control area is one file mapped MAP_SHARED by the supervisor and by every process of the job.
// The engine is the only one that hands out slots; injected code only serves the slot it was given.
// This header is compiled into code without libc or libstdc++: plain types and constants only.
//
// Version rule: an agent lives as long as its process, through images and restarts, so it can be
// older than the engine. Any change of layout or meaning raises kVersion; the engine refuses an
// agent of another version by name.
#pragma once

#include <linux/futex.h>
#include <stdint.h>

#include "runtime/abi/ids.h"
#include "runtime/abi/sigaction.h"
#include "runtime/abi/system_v_ids.h"

namespace ck::abi {

inline constexpr uint64_t kMagic = 0x6165726174726b63;  // "ckrtarea"
inline constexpr uint32_t kVersion = 5;

inline constexpr uint32_t kMaxCalls = 96;
inline constexpr uint32_t kDataBytes = 8192;
inline constexpr uint32_t kXstateBytes = 11264;  // AMX included: 11,008 + 4
inline constexpr uint32_t kStackBytes = 4096;    // of the serve loop, a few frames deep
inline constexpr uint32_t kPathBytes = 256;

// One system call in a mailbox. Arguments are as the kernel wants them; addresses are the
// process's own. An argument can name the result of an earlier call of the same list.
struct Call {
  int64_t number;
  uint64_t args[6];
  int64_t result;         // written by injected code: what the kernel returned (-errno on failure)
  uint8_t result_of[6];   // 0: args[i] as it is; k: the result of call k-1 of this list
  uint8_t stop_on_error;  // the rest of the list is not run if this call fails
  uint8_t skipped;        // written by injected code: an earlier call stopped the list
};

// States of a thread slot. The word is a futex; who sets it, who waits, and what then holds:
enum SlotState : uint32_t {
  kFree = 0,       // engine or injected code (on release): nobody serves the slot
  kArriving = 1,   // engine, before it diverts the thread: frame is complete; thread not there yet
  kParked = 2,     // injected code: the thread waits in the serve loop and touches nothing
  kRunCalls = 3,   // engine: run calls[0..call_count); then kParked
  kClone = 4,      // engine: clone3(clone_args, clone_size), child serves child_slot; then kParked
                   // with clone_result
  kJump = 5,       // engine: leave this serve loop for the one at jump_to (same contract)
  kRelease = 6,    // engine: rt_sigreturn to the frame; injected code sets kFree just before
  kDismissed = 7,  // engine: the process ends, now or when it arrives
};

// What rt_sigreturn(2) expects on x86-64 (kernel: arch/x86/include/uapi/asm/sigcontext.h,
// ucontext.h): laid out here because the kernel's and glibc's headers cannot both be included.
struct SignalFrame {
  uint64_t flags;  // UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
  uint64_t link;
  uint64_t altstack_sp;
  uint32_t altstack_flags;
  uint32_t altstack_pad;
  uint64_t altstack_size;
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip,
      rflags;
  uint16_t cs, gs, fs, ss;
  uint64_t err, trapno, oldmask, cr2;
  uint64_t fpstate;  // address, in the process, of the slot's xstate
  uint64_t reserved[8];
  uint64_t sigmask;  // the thread's true mask
};

struct alignas(64) ThreadSlot {
  uint32_t state;          // SlotState, futex
  int32_t tid;             // engine: the thread's virtual tid; 0 while free
  uint32_t call_count;     // engine
  uint32_t self_released;  // injected code: the supervisor died, the thread went on by itself

  // Release of a thread whose frame restarts a system call (DESIGN: the program never sees EINTR
  // from a checkpoint): if one of these signals is pending when the thread is released, the call
  // must fail with EINTR instead, as it would have undisturbed. Engine writes, injected code reads.
  uint64_t eintr_signals;

  uint64_t clone_args;  // engine: address of struct clone_args
  uint64_t clone_size;
  uint64_t child_slot;   // engine: address of the slot that the child will serve
  int64_t clone_result;  // injected code
  uint64_t jump_to;      // engine: entry of the other serve loop
  uint64_t jump_slot;    // engine: this slot, and the area's header, as that loop's mapping of the
  uint64_t jump_header;  //   area sees them
  uint32_t
      orphan_exits;  // engine: what the thread does when the supervisor has died. 0: goes on by
                     //   itself; 1: the process ends (a twin, a half-restored process)
  uint32_t pad32;
  uint64_t pad[3];

  SignalFrame frame;                         // engine
  alignas(64) uint8_t xstate[kXstateBytes];  // engine: XSAVE image, as in a signal frame
  Call calls[kMaxCalls];                     // engine; results by injected code
  alignas(64) uint8_t data[kDataBytes];      // memory that calls may point to
  alignas(64) uint8_t stack[kStackBytes];    // injected code
};
inline constexpr uint32_t kSlotStride = 32768;
static_assert(sizeof(ThreadSlot) <= kSlotStride);

// What a process tells of the agent in it: on a private page just below its mapping of the control
// area, so that fork copies it, exec drops it, and an image keeps it. The constructor writes it,
// `ready` last; the engine reads it, and trusts it only if `area` is where the mapping is.
inline constexpr uint64_t kAgentPageBytes = 4096;
struct AgentPage {
  uint64_t magic;
  uint32_t version;
  uint32_t ready;
  uint64_t area;        // where the process maps the control area
  uint64_t serve;       // entry of the serve loop: void serve(ThreadSlot*, AreaHeader*)
  uint64_t code_begin;  // the serve loop's code: a thread stopped here is not diverted
  uint64_t code_end;
  int64_t timed_call;  // offset from the fs base of the thread-local TimedCall* (timed_call.h)

  // For --pids virtual (ids.h). Addresses are of the library, offsets of the gate page.
  uint64_t gate;  // the gate page, once there is one; `serve` is then in it
  uint64_t gate_code_begin, gate_code_end;    // what is copied to its beginning,
  uint64_t serve_code_begin, serve_code_end;  // and to kGateServe
  uint64_t serve_entry;                       // offset within serve_code
  uint64_t on_sigsys, sigsys_return;          // handler of SIGSYS, and its restorer
  uint64_t deliver;                           // handler of all signals that the program handles
  uint32_t plain_call, plain_end;      // offsets: syscall instruction of the stub that returns to
                                       //   the program by itself, and the end of that stub
  uint32_t checked_call, checked_end;  // the same of the stub that comes back to on_sigsys
  int64_t believes_blocked;  // offset from the fs base: thread-local uint32_t, whether the thread
                             //   believes that it blocks SIGSYS
  uint32_t no_new_privs;     // the program's own, in this process
  uint32_t pad32;
  char exe[kPathBytes];  // the program, where /proc/self/exe does not lead to it; else empty
  KernelSigaction actions[kLastSignal + 1];  // the program's, where the kernel has `deliver` or
                                             //   on_sigsys. By signal number
};
static_assert(sizeof(AgentPage) <= kAgentPageBytes);

inline constexpr uint32_t kNamespaces = 8;
struct AreaHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t slot_count;
  uint64_t slots_offset;  // of ThreadSlot 0; slot i is at slots_offset + i * kSlotStride
  uint64_t size;          // of the whole area

  // The supervisor's life. A pthread robust mutex's lock word lies at owner_word_offset: while the
  // supervisor lives it holds its tid; when it dies the kernel sets FUTEX_OWNER_DIED there.
  uint64_t owner_word_offset;

  // `kill -USR2 PROGRAM`: the agent's handler adds one and wakes; the supervisor waits here.
  uint32_t requests;
  int32_t request_signal;

  // An undumpable process cannot be traced; the engine sends the request signal to ask it to be
  // dumpable while it is captured. One process at a time.
  int32_t dumpable_wanted;  // engine: its virtual pid; agent: 0 when done
  int32_t dumpable_was;     // agent: what PR_GET_DUMPABLE said before, plus 1; engine: 0 before

  uint32_t pad32;

  char path[kPathBytes];   // of the area file, for programs started by exec
  char agent[kPathBytes];  // path of the agent library, for the same
  // "CKRUN_AREA=" and the path. The environment that is passed on points here: a restart may come
  // between its making and the exec, and the area then is another one, at the same address.
  char variable[kPathBytes];
  uint8_t owner_mutex[64];  // supervisor only: the pthread_mutex_t

  IdTable ids;
  SystemVTable system_v;  // empty unless ids are virtual

  // Engine only, so that it belongs to no version: the namespaces that the job was given at its
  // start or restart, by inode (capture/apart.h); all 0: not known.
  uint32_t namespaces[kNamespaces];
};

inline constexpr uint64_t kSlotsOffset = (sizeof(AreaHeader) + 4095) / 4096 * 4096;

inline ThreadSlot* slot_at(void* area, uint32_t index) {
  return reinterpret_cast<ThreadSlot*>(static_cast<char*>(area) + kSlotsOffset +
                                       static_cast<uint64_t>(index) * kSlotStride);
}

// What a freshly started restorer leaves in its slot's data before it parks.
struct RestorerHello {
  uint64_t area;        // where it has mapped the control area
  uint64_t code_begin;  // its code, position-independent and without data: may be copied anywhere
  uint64_t code_end;
  uint64_t serve;  // entry of its serve loop, inside that code
};

// Environment of the program: where its control area is. LD_PRELOAD names the agent.
inline constexpr char kAreaVariable[] = "CKRUN_AREA";

}  // namespace ck::abi
