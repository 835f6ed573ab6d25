// Ids of a job that was restarted with --pids virtual: what its program believes against what the
// kernel calls it. A table in the control area, shared by the engine and all processes of the job,
// without a lock. Pids, tids, process groups and sessions are one kind of number here.
//
// Numbers that are not in the table mean themselves. The engine writes all keys before the job
// runs; after that only values change, each by one atomic store or exchange. So a new process needs
// an entry only if the kernel gives it a number that is a key: one that somebody believes to be
// his, or that a process which has ended had.
//
// Also compiled into code without libc: plain types and inline functions only.
#pragma once

#include <stdint.h>

namespace ck::abi {

inline constexpr uint32_t kIdSlots = 8192;  // a power of two
inline constexpr uint32_t kMaxIdKeys = kIdSlots * 3 / 4;
inline constexpr uint32_t kSpareIds = 512;
inline constexpr int32_t kNobody = 0x3fffffff;  // above every pid: calls answer ESRCH

struct IdEntry {
  uint32_t key;    // 0: free
  uint32_t real;   // of whoever believes to be `key`; 0: nobody does
  uint64_t owner;  // of the real id `key`: its virtual id, 0: itself; upper half: its birth
};

struct IdTable {
  uint32_t on;          // engine: 1 if ids of this job are virtual
  uint32_t keys;        // engine: how many are taken
  uint32_t spares;      // engine
  uint32_t next_spare;  // injected code: where to look for a free one first
  // Program's own wish for PR_SET_NO_NEW_PRIVS, in any process of the job: exec hides whose it was.
  uint32_t no_new_privs;
  uint32_t pad;
  uint64_t gate;              // engine: address of the gate page, the same in all processes
  uint32_t spare[kSpareIds];  // keys that nobody had: for new children whose own number is taken
  IdEntry entries[kIdSlots];
};

inline IdEntry* find_id(IdTable* table, uint32_t key) {
  uint32_t at = (key * 2654435761u) & (kIdSlots - 1);
  for (uint32_t i = 0; i < kIdSlots; ++i, at = (at + 1) & (kIdSlots - 1)) {
    IdEntry* entry = &table->entries[at];
    if (entry->key == key) return entry;
    if (entry->key == 0) return nullptr;
  }
  return nullptr;
}

inline uint32_t virtual_of(const IdEntry* entry) {
  return static_cast<uint32_t>(__atomic_load_n(&entry->owner, __ATOMIC_ACQUIRE));
}

// Zero and negative numbers (errors, "myself") stay as they are.
inline int32_t to_real(IdTable* table, int32_t id) {
  if (id <= 0 || !table->on) return id;
  const IdEntry* entry = find_id(table, static_cast<uint32_t>(id));
  if (entry == nullptr) return id;
  const uint32_t real = __atomic_load_n(&entry->real, __ATOMIC_ACQUIRE);
  if (real != 0) return static_cast<int32_t>(real);
  const uint32_t other = virtual_of(entry);
  return other == 0 || other == static_cast<uint32_t>(id) ? id : kNobody;
}

// 0, as for a process in another pid namespace: it is none of the job, but its number is taken.
inline int32_t to_virtual(IdTable* table, int32_t id) {
  if (id <= 0 || !table->on) return id;
  const IdEntry* entry = find_id(table, static_cast<uint32_t>(id));
  if (entry == nullptr) return id;
  const uint32_t owner = virtual_of(entry);
  if (owner != 0) return static_cast<int32_t>(owner);
  const uint32_t real = __atomic_load_n(&entry->real, __ATOMIC_ACQUIRE);
  return real == 0 || real == static_cast<uint32_t>(id) ? id : 0;
}

// What arguments of kill(2), F_SETOWN and their kin mean: negative is a process group.
inline int32_t signed_to_real(IdTable* table, int32_t id) {
  return id < -1 ? -to_real(table, -id) : to_real(table, id);
}

inline int32_t signed_to_virtual(IdTable* table, int32_t id) {
  return id < -1 ? -to_virtual(table, -id) : to_virtual(table, id);
}

// Where a siginfo_t has an id that the kernel wrote; null: nowhere, or a program did (SI_QUEUE and
// whatever else it can send), in the numbers that programs know.
inline int32_t* id_in_siginfo(void* siginfo) {
  constexpr int32_t kUser = 0, kTkill = -6, kMessageQueue = -3, kSigchld = 17;
  int32_t* words = static_cast<int32_t*>(siginfo);
  const int32_t number = words[0];
  const int32_t code = words[2];
  const bool by_kernel =
      code == kUser || code == kTkill || code == kMessageQueue || (number == kSigchld && code > 0);
  return by_kernel ? &words[4] : nullptr;
}

// A system call that the agent makes in the program's stead, outside of its SIGSYS handler: on the
// program's stack below the red zone (or on a scratch stack), with the stack pointer at it while
// the thread is at one of the gate page's stubs. All that is needed to undo it.
inline constexpr uint64_t kCallRecordMagic = 0x64726f6365726c63;  // "clrecord"

struct CallRecord {
  uint64_t magic;
  int64_t number;
  uint64_t args[6];     // as the program gave them
  uint64_t rip, rsp;    // after the program's syscall instruction
  int64_t result;       // written by the stub that comes back
  uint64_t mask;        // 0, or a signal mask, with SIGSYS in it: the one that the call itself sets
                        //   (sigsuspend and its kin); of clone, the one to go back to
  uint64_t release;     // clear the 32-bit word there when this is over; 0: none
  uint64_t flags;       // of clone
  uint64_t parent_tid;  // of clone
  uint64_t child_tid;
};

// Offsets in the gate page, a page of code that the filter lets pass. The agent copies its section
// "ckgate" to the beginning and the serve loop to kGateServe.
inline constexpr uint64_t kGateBytes = 4096;
inline constexpr uint64_t kGateServe = 1024;

// The number of the call by which a stub comes back into the SIGSYS handler. No such call exists.
inline constexpr uint32_t kComeBack = 0x00c6b6e5;
// SECCOMP_RET_DATA of our filter, seen as si_errno: SIGSYS of any other is the program's own.
inline constexpr uint32_t kTrapData = 0x6b63;

}  // namespace ck::abi
