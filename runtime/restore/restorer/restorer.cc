// The restorer: a process that has nothing, maps the control area, and serves a slot of it. All
// else is told by the engine. No libc; the serve loop is position-independent and is copied away
// from here before this program is unmapped.
//
//   ckrun-restorer AREA_FD SLOT
#include <fcntl.h>
#include <linux/mman.h>

#include "runtime/abi/serve.h"

namespace ck::abi {
namespace {

uint64_t parse_number(const char* text) {
  uint64_t value = 0;
  for (; *text >= '0' && *text <= '9'; ++text)
    value = value * 10 + static_cast<uint64_t>(*text - '0');
  return value;
}

[[noreturn]] void fail(int status) {
  gate(__NR_exit_group, static_cast<uint64_t>(status));
  __builtin_unreachable();
}

}  // namespace

extern "C" [[noreturn]] __attribute__((used)) void restorer_main(const uint64_t* stack) {
  if (stack[0] != 3) fail(253);
  const char* const* argv = reinterpret_cast<const char* const*>(stack + 1);
  const uint64_t fd = parse_number(argv[1]);
  const uint32_t index = static_cast<uint32_t>(parse_number(argv[2]));

  const int64_t size = gate(__NR_lseek, fd, 0, 2 /* SEEK_END */);
  if (size < static_cast<int64_t>(sizeof(AreaHeader))) fail(252);
  const int64_t area =
      gate(__NR_mmap, 0, static_cast<uint64_t>(size), 3 /* RW */, MAP_SHARED, fd, 0);
  if (area < 0 && area > -4096) fail(251);
  AreaHeader* header = reinterpret_cast<AreaHeader*>(area);
  if (header->magic != kMagic || header->version != kVersion || index >= header->slot_count)
    fail(250);

  ThreadSlot* slot = slot_at(header, index);
  RestorerHello* hello = reinterpret_cast<RestorerHello*>(slot->data);
  hello->area = address_of(header);
  hello->code_begin = address_of(__start_ckserve);
  hello->code_end = address_of(__stop_ckserve);
  hello->serve = reinterpret_cast<uint64_t>(&serve);
  asm volatile(
      "mov %0, %%rsp\n\t"
      "push $0\n\t"
      "jmp *%1"
      :
      : "r"(slot->stack + kStackBytes), "r"(&serve), "D"(slot), "S"(header)
      : "memory");
  __builtin_unreachable();
}

}  // namespace ck::abi

asm(".text\n"
    ".global _start\n"
    "_start:\n\t"
    "xor %ebp, %ebp\n\t"
    "mov %rsp, %rdi\n\t"
    "and $-16, %rsp\n\t"
    "call restorer_main\n\t"
    "ud2\n");
