// The constructor: finds the control area and enters this process there. Raw system calls only, so
// that it neither disturbs errno nor depends on what libc has set up so far.
#include "interpose/agent.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "runtime/abi/gate.h"
#include "runtime/abi/serve.h"

namespace ck::agent {

using abi::address_of;
using abi::gate;

abi::AreaHeader* area = nullptr;
__thread abi::TimedCall* timed_call = nullptr;

namespace {

const char* find_variable(char** environment, const char* name) {
  for (; *environment != nullptr; ++environment) {
    const char* entry = *environment;
    const char* wanted = name;
    while (*wanted != '\0' && *entry == *wanted) ++entry, ++wanted;
    if (*wanted == '\0' && *entry == '=') return entry + 1;
  }
  return nullptr;
}

bool failed(int64_t result) {
  return result < 0 && result > -4096;
}

abi::AreaHeader* map_area(const char* path) {
  const int64_t fd = gate(__NR_openat, static_cast<uint64_t>(AT_FDCWD), address_of(path),
                          O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (failed(fd)) return nullptr;
  const uint64_t file = static_cast<uint64_t>(fd);
  const int64_t size = gate(__NR_lseek, file, 0, 2 /* SEEK_END */);
  int64_t where = -1;
  if (size >= static_cast<int64_t>(sizeof(abi::AreaHeader)))
    where = gate(__NR_mmap, 0, static_cast<uint64_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED,
                 file, 0);
  gate(__NR_close, file);
  if (failed(where)) return nullptr;
  abi::AreaHeader* header = reinterpret_cast<abi::AreaHeader*>(where);
  if (header->magic == abi::kMagic && header->version == abi::kVersion) return header;
  gate(__NR_munmap, static_cast<uint64_t>(where), static_cast<uint64_t>(size));
  return nullptr;
}

// The entry of this pid (a program before exec), or a free one.
abi::ProcessEntry* claim_entry(abi::AreaHeader* header, int32_t pid) {
  for (abi::ProcessEntry& entry : header->processes)
    if (__atomic_load_n(&entry.pid, __ATOMIC_ACQUIRE) == pid) return &entry;
  for (abi::ProcessEntry& entry : header->processes) {
    int32_t nobody = 0;
    if (__atomic_compare_exchange_n(&entry.pid, &nobody, pid, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED))
      return &entry;
  }
  return nullptr;
}

int64_t timed_call_offset() {
  uint64_t thread_pointer;
  asm("mov %%fs:0, %0" : "=r"(thread_pointer));
  return static_cast<int64_t>(address_of(&timed_call) - thread_pointer);
}

void enter(abi::AreaHeader* header) {
  abi::ProcessEntry* entry = claim_entry(header, static_cast<int32_t>(gate(__NR_getpid)));
  if (entry == nullptr) return;
  __atomic_store_n(&entry->ready, 0u, __ATOMIC_RELEASE);
  entry->area = address_of(header);
  entry->serve = reinterpret_cast<uint64_t>(&abi::serve);
  entry->code_begin = address_of(__start_ckserve);
  entry->code_end = address_of(__stop_ckserve);
  entry->timed_call = timed_call_offset();
  entry->dumpable_was = 0;
  entry->dumpable_wanted = 0;
  __atomic_store_n(&entry->ready, 1u, __ATOMIC_RELEASE);
  area = header;
}

__attribute__((constructor)) void start(int, char**, char** environment) {
  look_up_timed_calls();
  look_up_exec();
  const char* path = find_variable(environment, abi::kAreaVariable);
  if (path == nullptr) return;
  abi::AreaHeader* header = map_area(path);
  if (header == nullptr) return;
  enter(header);
  if (area != nullptr) arm_request_signal();
}

}  // namespace
}  // namespace ck::agent
