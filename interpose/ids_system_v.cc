// System V objects: the pids in them, and their own ids (abi/system_v_ids.h).
#include <errno.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "interpose/ids.h"

namespace ck::agent {

using abi::address_of;
using abi::SystemVEntry;

namespace {

// The same in three ways.
struct Family {
  abi::SystemVFamily name;
  int64_t control;
  int command, description;       // which arguments of `control`
  uint64_t stat, stat_any, info;  // its commands that find by place in the kernel's table
};
constexpr Family kSegments = {abi::SystemVFamily::kSegments, __NR_shmctl, 1, 2, SHM_STAT, 15, 14};
constexpr Family kSemaphores = {
    abi::SystemVFamily::kSemaphores, __NR_semctl, 2, 3, SEM_STAT, 20, 19};
constexpr Family kQueues = {abi::SystemVFamily::kQueues, __NR_msgctl, 1, 2, MSG_STAT, 13, 12};

constexpr uint32_t kSpareNumbers = 0x8000;

abi::SystemVTable* table() {
  return &area->system_v;
}

uint64_t real_object(const Family& family, uint64_t id) {
  return static_cast<uint64_t>(int64_t{abi::to_real(table(), family.name, as_id(id))});
}

SystemVEntry* find_key(const Family& family, int32_t key) {
  if (key == IPC_PRIVATE) return nullptr;
  return abi::find_system_v(table(), family.name, [key](uint64_t, const SystemVEntry& entry) {
    return __atomic_load_n(&entry.key, __ATOMIC_ACQUIRE) == key;
  });
}

// A number that means nothing, for an entry at that place; 0: there is none.
int32_t spare_id(const Family& family, uint32_t place) {
  for (uint32_t nth = place; nth < kSpareNumbers; nth += abi::kSystemVEntries)
    if (abi::find_virtual(table(), family.name, abi::spare_system_v_id(nth)) == nullptr)
      return abi::spare_system_v_id(nth);
  return 0;
}

// The id by which the program is to know an object that it may not know yet. Its own one may mean
// another object here.
int64_t known_id(const Family& family, int32_t real) {
  for (uint32_t place = 0; place < abi::kSystemVEntries; ++place) {
    if (const SystemVEntry* entry = abi::find_real(table(), family.name, real))
      return abi::virtual_in(__atomic_load_n(&entry->ids, __ATOMIC_ACQUIRE));
    if (abi::find_virtual(table(), family.name, real) == nullptr) return real;
    uint64_t* ids = &table()->entries[place].ids;
    uint64_t free = __atomic_load_n(ids, __ATOMIC_ACQUIRE);
    const int32_t id = free == 0 ? spare_id(family, place) : 0;
    if (id != 0 && __atomic_compare_exchange_n(ids, &free, abi::pack(family.name, id, real), false,
                                               __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
      return id;
  }
  return -ENOSPC;
}

void remove_object(const Family& family, int64_t real) {
  const uint64_t id = static_cast<uint64_t>(real);
  if (family.control == __NR_semctl)
    call(__NR_semctl, id, 0, IPC_RMID);
  else
    call(family.control, id, IPC_RMID);
}

// What the kernel would say to a search for this key if the object had it. 0: it has been removed
// by others, and the key is free.
int64_t get_by_entry(const Trap& trap, const Family& family, SystemVEntry& entry) {
  union {
    shmid_ds segment;
    semid_ds semaphores;
    msqid_ds queue;
  } about;
  const uint64_t ids = __atomic_load_n(&entry.ids, __ATOMIC_ACQUIRE);
  const uint64_t real = static_cast<uint64_t>(abi::real_in(ids));
  const bool sets = family.control == __NR_semctl;
  const int64_t seen = sets ? call(__NR_semctl, real, 0, IPC_STAT, address_of(&about))
                            : call(family.control, real, IPC_STAT, address_of(&about));
  if (seen == -EINVAL || seen == -EIDRM) {
    __atomic_store_n(&entry.key, 0, __ATOMIC_RELEASE);
    return 0;
  }
  const uint64_t flags = trap.args[family.control == __NR_msgctl ? 1 : 2];
  if ((flags & IPC_CREAT) && (flags & IPC_EXCL)) return -EEXIST;
  if (seen != 0) return seen;
  if (sets && trap.args[1] > about.semaphores.sem_nsems) return -EINVAL;
  if (family.control == __NR_shmctl && trap.args[1] > about.segment.shm_segsz) return -EINVAL;
  return 1;
}

int64_t get_call(Trap& trap, const Family& family) {
  const int32_t key = as_id(trap.args[0]);
  if (SystemVEntry* entry = find_key(family, key)) {
    const int64_t found = get_by_entry(trap, family, *entry);
    if (found < 0) return found;
    if (found > 0) return abi::virtual_in(__atomic_load_n(&entry->ids, __ATOMIC_ACQUIRE));
  }
  const int64_t real = trap.make();
  if (failed(real)) return real;
  const int64_t id = known_id(family, static_cast<int32_t>(real));
  if (failed(id) && key == IPC_PRIVATE) remove_object(family, real);
  return id;
}

// Who used it last may have been the job in a former life, with ids that were still its own.
int32_t last_user(int64_t id) {
  const int32_t known_as = virtual_id(id);
  return known_as != 0 ? known_as : static_cast<int32_t>(id);
}

void last_user_at(uint64_t place) {
  int32_t id = 0;
  if (!read_memory(&id, place, sizeof id)) return;
  id = last_user(id);
  write_memory(place, &id, sizeof id);
}

// What the kernel has told of an object that it knows as `real`.
void describe(const Family& family, int32_t real, uint64_t description) {
  if (const SystemVEntry* entry = abi::find_real(table(), family.name, real)) {
    const int32_t key = __atomic_load_n(&entry->key, __ATOMIC_ACQUIRE);
    static_assert(offsetof(shmid_ds, shm_perm) == 0 && offsetof(semid_ds, sem_perm) == 0 &&
                  offsetof(msqid_ds, msg_perm) == 0);
    if (key != 0) write_memory(description + offsetof(ipc_perm, __key), &key, sizeof key);
  }
  if (family.control == __NR_shmctl) {
    last_user_at(description + offsetof(shmid_ds, shm_cpid));
    last_user_at(description + offsetof(shmid_ds, shm_lpid));
  } else if (family.control == __NR_msgctl) {
    last_user_at(description + offsetof(msqid_ds, msg_lspid));
    last_user_at(description + offsetof(msqid_ds, msg_lrpid));
  }
}

// An object that is only found by its place, and whose number means another one to the job.
bool is_hidden(const Family& family, int32_t real) {
  return abi::find_real(table(), family.name, real) == nullptr &&
         abi::find_virtual(table(), family.name, real) != nullptr;
}

// Also of a segment that lives on as long as it is attached.
void forget_key(const Family& family, int32_t real) {
  if (SystemVEntry* entry = abi::find_real(table(), family.name, real))
    __atomic_store_n(&entry->key, 0, __ATOMIC_RELEASE);
}

int64_t control_call(Trap& trap, const Family& family) {
  constexpr uint64_t kLowByte = 0xff;  // IPC_64 is above it
  const uint64_t command = trap.args[family.command] & kLowByte;
  const bool finds = command == family.stat || command == family.stat_any;
  const bool about_all = command == family.info || command == IPC_INFO;
  if (!finds && !about_all) trap.args[0] = real_object(family, trap.args[0]);
  const int64_t result = trap.make();
  if (failed(result) || about_all) return result;
  if (command == IPC_RMID) forget_key(family, as_id(trap.args[0]));
  if (family.control == __NR_semctl && command == GETPID) return last_user(result);
  if (!finds && command != IPC_STAT) return result;
  const int32_t real = finds ? static_cast<int32_t>(result) : as_id(trap.args[0]);
  if (finds && is_hidden(family, real)) return -EINVAL;
  describe(family, real, trap.args[family.description]);
  return finds ? abi::to_virtual(table(), family.name, real) : result;
}

// These may block.
void wait_call(Trap& trap, const Family& family) {
  const abi::CallRecord* record = trap.begin_record();
  trap.args[0] = real_object(family, trap.args[0]);
  trap.go_plain(record);
}

}  // namespace

bool trap_system_v(Trap& trap) {
  switch (trap.number) {
    case __NR_shmget:
      trap.answer(get_call(trap, kSegments));
      return true;
    case __NR_semget:
      trap.answer(get_call(trap, kSemaphores));
      return true;
    case __NR_msgget:
      trap.answer(get_call(trap, kQueues));
      return true;
    case __NR_shmat:
      trap.args[0] = real_object(kSegments, trap.args[0]);
      trap.answer(trap.make());
      return true;
    case __NR_shmctl:
      trap.answer(control_call(trap, kSegments));
      return true;
    case __NR_semctl:
      trap.answer(control_call(trap, kSemaphores));
      return true;
    case __NR_msgctl:
      trap.answer(control_call(trap, kQueues));
      return true;
    case __NR_semop:
    case __NR_semtimedop:
      wait_call(trap, kSemaphores);
      return true;
    case __NR_msgsnd:
    case __NR_msgrcv:
      wait_call(trap, kQueues);
      return true;
    default:
      return false;
  }
}

}  // namespace ck::agent
