// The constructor: maps the control area and tells the engine where the serve loop is. Raw system
// calls only, so that it neither disturbs errno nor depends on what libc has set up so far.
#include "interpose/agent.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "interpose/ids.h"
#include "interpose/real.h"
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

// The area, with room for the agent's page below it; what was mapped for another version stays.
abi::AreaHeader* map_area(const char* path) {
  const int64_t fd = gate(__NR_openat, static_cast<uint64_t>(AT_FDCWD), address_of(path),
                          O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (failed(fd)) return nullptr;
  const uint64_t file = static_cast<uint64_t>(fd);
  const int64_t size = gate(__NR_lseek, file, 0, 2 /* SEEK_END */);
  int64_t page = -1;
  int64_t where = -1;
  if (size >= static_cast<int64_t>(sizeof(abi::AreaHeader)))
    page = gate(__NR_mmap, 0, abi::kAgentPageBytes + static_cast<uint64_t>(size),
                PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                static_cast<uint64_t>(-1), 0);
  if (!failed(page))
    where =
        gate(__NR_mmap, static_cast<uint64_t>(page) + abi::kAgentPageBytes,
             static_cast<uint64_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
  gate(__NR_close, file);
  if (failed(where)) return nullptr;
  abi::AreaHeader* header = reinterpret_cast<abi::AreaHeader*>(where);
  if (header->magic == abi::kMagic && header->version == abi::kVersion) return header;
  return nullptr;
}

int64_t timed_call_offset() {
  uint64_t thread_pointer;
  asm("mov %%fs:0, %0" : "=r"(thread_pointer));
  return static_cast<int64_t>(address_of(&timed_call) - thread_pointer);
}

void enter(abi::AreaHeader* header) {
  abi::AgentPage* page =
      reinterpret_cast<abi::AgentPage*>(address_of(header) - abi::kAgentPageBytes);
  page->magic = abi::kMagic;
  page->version = abi::kVersion;
  page->area = address_of(header);
  page->serve = reinterpret_cast<uint64_t>(&abi::serve);
  page->code_begin = address_of(__start_ckserve);
  page->code_end = address_of(__stop_ckserve);
  page->timed_call = timed_call_offset();
  describe_virtual_ids(page);
  area = header;
  begin_virtual_ids();
  __atomic_store_n(&page->ready, 1u, __ATOMIC_RELEASE);
}

__attribute__((constructor)) void start(int, char**, char** environment) {
  const char* path = find_variable(environment, abi::kAreaVariable);
  abi::AreaHeader* header = path != nullptr ? map_area(path) : nullptr;
  if (header != nullptr) enter(header);
  const NextLibraries libraries(&area);
  look_up_timed_calls(libraries);
  look_up_exec(libraries);
  look_up_paths(libraries);
  look_up_messages(libraries);
  look_up_shells(libraries);
  if (header != nullptr) arm_request_signal();
}

}  // namespace
}  // namespace ck::agent
