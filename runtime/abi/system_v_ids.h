// Ids of System V objects (shared memory, semaphores, message queues) of a job that was restarted
// with --pids virtual: what its program believes against what the kernel calls them. A table in the
// control area, shared by the engine and all processes of the job, without a lock. Numbers that are
// not in the table mean themselves.
//
// The engine writes entries before the job runs, injected code adds some. They are added in order,
// each by one compare-and-swap of a free place, and stay: so a search ends at the first free place,
// and no two processes make an entry for the same object. An entry of an object that is gone does
// no harm: the kernel gives its number to no other for a very long time.
//
// Also compiled into code without libc: plain types and inline functions only.
#pragma once

#include <stdint.h>

namespace ck::abi {

enum class SystemVFamily : uint32_t { kSegments = 1, kSemaphores = 2, kQueues = 3 };

struct SystemVEntry {
  uint64_t ids;  // see pack(); 0: free, as are all behind it
  int32_t key;   // engine: of an object that the kernel has without it, for others have the key;
                 //   injected code: 0 when the object is removed
  uint32_t pad;
};

inline constexpr uint32_t kSystemVEntries = 512;
inline constexpr uint32_t kMaxRestoredSystemV = 256;  // the rest is for injected code

struct SystemVTable {
  SystemVEntry entries[kSystemVEntries];
};

// Ids have 31 bits (ipc/util.h of the kernel: 15 or more are a place, the rest counts its users).
inline uint64_t pack(SystemVFamily family, int32_t virtual_id, int32_t real) {
  return static_cast<uint64_t>(family) << 62 | static_cast<uint64_t>(virtual_id) << 31 |
         static_cast<uint64_t>(real);
}
inline SystemVFamily family_in(uint64_t ids) {
  return static_cast<SystemVFamily>(ids >> 62);
}
inline int32_t virtual_in(uint64_t ids) {
  return static_cast<int32_t>(ids >> 31 & 0x7fffffff);
}
inline int32_t real_in(uint64_t ids) {
  return static_cast<int32_t>(ids & 0x7fffffff);
}

// The number for an object of the job whose own number is that of another entry: with the highest
// count of users, which the kernel reaches last. `nth`: the entry's place; or more, by multiples of
// kSystemVEntries.
inline int32_t spare_system_v_id(uint32_t nth) {
  return static_cast<int32_t>(0x7fff8000 + nth);
}

// The entry for which `matches(ids, entry)` holds, or null.
template <typename Matches>
inline SystemVEntry* find_system_v(SystemVTable* table, SystemVFamily family, Matches matches) {
  for (SystemVEntry& entry : table->entries) {
    const uint64_t ids = __atomic_load_n(&entry.ids, __ATOMIC_ACQUIRE);
    if (ids == 0) return nullptr;
    if (family_in(ids) == family && matches(ids, entry)) return &entry;
  }
  return nullptr;
}

inline SystemVEntry* find_virtual(SystemVTable* table, SystemVFamily family, int32_t id) {
  return find_system_v(table, family,
                       [id](uint64_t ids, const SystemVEntry&) { return virtual_in(ids) == id; });
}

inline SystemVEntry* find_real(SystemVTable* table, SystemVFamily family, int32_t id) {
  return find_system_v(table, family,
                       [id](uint64_t ids, const SystemVEntry&) { return real_in(ids) == id; });
}

inline int32_t to_real(SystemVTable* table, SystemVFamily family, int32_t id) {
  const SystemVEntry* entry = find_virtual(table, family, id);
  return entry == nullptr ? id : real_in(__atomic_load_n(&entry->ids, __ATOMIC_ACQUIRE));
}

inline int32_t to_virtual(SystemVTable* table, SystemVFamily family, int32_t id) {
  const SystemVEntry* entry = find_real(table, family, id);
  return entry == nullptr ? id : virtual_in(__atomic_load_n(&entry->ids, __ATOMIC_ACQUIRE));
}

}  // namespace ck::abi
