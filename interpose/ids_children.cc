// fork, vfork, clone and exec under virtual ids, and the numbers of those who are born.
//
// The thread makes the call from the checked stub, with all signals but SIGSYS blocked, and both
// parent and child come back into the handler before they run any code of the program.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>

#include "interpose/ids.h"

namespace ck::agent {

using abi::address_of;
using abi::CallRecord;
using abi::IdEntry;

namespace {

// A vfork child runs on its parent's stack and overwrites what was below the stack pointer; so both
// make the call on another stack.
constexpr uint64_t kScratchStack = 12288;
constexpr uint32_t kScratches = 8;
struct alignas(64) Scratch {
  uint8_t stack[kScratchStack];
  CallRecord record;
  uint32_t taken;
};
Scratch scratches[kScratches];

Scratch* take_scratch() {
  for (Scratch& scratch : scratches) {
    uint32_t no = 0;
    if (__atomic_compare_exchange_n(&scratch.taken, &no, 1u, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
      return &scratch;
  }
  return nullptr;
}

struct Plan {
  uint64_t flags = 0;
  uint64_t stack = 0;  // upper end of the child's; 0: the parent's
  uint64_t parent_tid = 0, child_tid = 0;
  clone_args asked{};
};

int64_t read_plan(const Trap& trap, Plan& plan) {
  switch (trap.number) {
    case __NR_fork:
      return 0;
    case __NR_vfork:
      plan.flags = CLONE_VM | CLONE_VFORK;
      return 0;
    case __NR_clone:
      plan.flags = trap.args[0] & ~uint64_t{CSIGNAL};
      plan.stack = trap.args[1];
      plan.parent_tid = trap.args[2];
      plan.child_tid = trap.args[3];
      return 0;
    default:  // clone3
      if (trap.args[1] > sizeof plan.asked) return -E2BIG;
      if (!read_memory(&plan.asked, trap.args[0], trap.args[1])) return -EFAULT;
      plan.flags = plan.asked.flags;
      plan.stack = plan.asked.stack == 0 ? 0 : plan.asked.stack + plan.asked.stack_size;
      plan.parent_tid = plan.asked.parent_tid;
      plan.child_tid = plan.asked.child_tid;
      return 0;
  }
}

// What the child finds at its stack pointer is a record of its own.
uint64_t put_on_new_stack(const CallRecord& record, const Plan& plan) {
  const uint64_t place = (plan.stack - sizeof(CallRecord)) & ~uint64_t{15};
  CallRecord own = record;
  own.rsp = plan.stack;
  return write_memory(place, &own, sizeof own) ? place : 0;
}

void start_child(Trap& trap, const Plan& plan) {
  CallRecord* record = trap.begin_record();
  static_assert(sizeof(clone_args) <= kExtraBytes);
  if ((plan.flags & CLONE_VM) && plan.stack == 0) {
    Scratch* scratch = take_scratch();
    if (scratch == nullptr) return trap.answer(-EAGAIN);
    scratch->record = *record;
    record = &scratch->record;
    record->release = address_of(&scratch->taken);
  }
  record->mask = trap.mask() | kSigsysBit;
  record->flags = plan.flags;
  record->parent_tid = plan.parent_tid;
  record->child_tid = plan.child_tid;
  if (plan.stack != 0) {
    const uint64_t stack = put_on_new_stack(*record, plan);
    if (stack == 0) return trap.answer(-EFAULT);
    if (trap.number == __NR_clone) {
      trap.args[1] = stack;
    } else {
      clone_args* asked = Trap::extra<clone_args>(record);
      *asked = plan.asked;
      asked->stack_size = stack - asked->stack;
      trap.args[0] = address_of(asked);
    }
  }
  trap.mask() = ~kSigsysBit;
  trap.go_checked(record);
}

void correct_word(uint64_t place, int32_t real_id, int32_t known_as) {
  if (place == 0 || real_id == known_as) return;
  __atomic_compare_exchange_n(reinterpret_cast<int32_t*>(place), &real_id, known_as, false,
                              __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

// When the kernel gave this id out, in clock ticks: 22nd field of /proc/PID/stat; never 0.
uint32_t birth_of(int32_t id) {
  char path[32] = "/proc/";
  char digits[12];
  int count = 0;
  for (int32_t rest = id; rest > 0; rest /= 10)
    digits[count++] = static_cast<char>('0' + rest % 10);
  char* end = path + 6;
  while (count > 0) *end++ = digits[--count];
  for (const char* from = "/stat"; *from != '\0';) *end++ = *from++;
  *end = '\0';
  char text[512];
  const int64_t fd =
      call(__NR_openat, static_cast<uint64_t>(AT_FDCWD), address_of(path), O_RDONLY | O_CLOEXEC);
  if (failed(fd)) return 1;
  const int64_t length = call(__NR_read, static_cast<uint64_t>(fd), address_of(text), sizeof text);
  call(__NR_close, static_cast<uint64_t>(fd));
  int64_t at = length;
  while (at > 0 && text[at - 1] != ')') --at;
  for (int field = 2; field < 22 && at < length; ++at)
    if (text[at] == ' ') ++field;
  uint32_t birth = 0;
  for (; at < length && text[at] >= '0' && text[at] <= '9'; ++at)
    birth = birth * 10 + static_cast<uint32_t>(text[at] - '0');
  return birth == 0 ? 1 : birth;
}

bool exists(uint32_t id) {
  const uint64_t number = id;
  return call(__NR_kill, number, 0) != -ESRCH || call(__NR_kill, -number, 0) != -ESRCH;
}

// A number that nobody believes to be his, now `real`'s; 0: there is none.
uint32_t take_spare(uint32_t real_id) {
  abi::IdTable* table = ids();
  for (uint32_t tries = 0; tries < table->spares; ++tries) {
    const uint32_t turn = __atomic_fetch_add(&table->next_spare, 1u, __ATOMIC_ACQ_REL);
    const uint32_t number = table->spare[turn % table->spares];
    IdEntry* entry = abi::find_id(table, number);
    uint32_t holder = __atomic_load_n(&entry->real, __ATOMIC_ACQUIRE);
    if ((holder != 0 && exists(holder)) || exists(number)) continue;
    if (__atomic_compare_exchange_n(&entry->real, &holder, real_id, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
      return number;
  }
  return 0;
}

void let_go(uint32_t known_as, uint32_t real_id) {
  if (known_as == 0) return;
  if (IdEntry* entry = abi::find_id(ids(), known_as))
    __atomic_compare_exchange_n(&entry->real, &real_id, 0u, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
}

}  // namespace

// Parent and child both ask; the first one decides. What the table says of the number is out of
// date if it was not said of this very process: the kernel has just given the number out anew.
int32_t adopt_id(int32_t real_id) {
  const uint32_t number = static_cast<uint32_t>(real_id);
  IdEntry* entry = abi::find_id(ids(), number);
  if (entry == nullptr) return real_id;
  const uint32_t birth = birth_of(real_id);
  for (;;) {
    uint64_t before = __atomic_load_n(&entry->owner, __ATOMIC_ACQUIRE);
    const uint32_t known_before = static_cast<uint32_t>(before);
    if (before >> 32 == birth && known_before != 0) return static_cast<int32_t>(known_before);
    uint32_t known_as = number;
    uint32_t holder = 0;
    const bool own = __atomic_compare_exchange_n(&entry->real, &holder, number, false,
                                                 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ||
                     holder == number;
    if (!own) known_as = take_spare(number);
    if (known_as == 0) known_as = number;  // more of them than numbers
    if (__atomic_compare_exchange_n(&entry->owner, &before, uint64_t{birth} << 32 | known_as, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      if (known_before != known_as) let_go(known_before, number);
      return static_cast<int32_t>(known_as);
    }
    if (!own) let_go(known_as, number);
  }
}

// Its number may still be that of a group or session.
void forget_id(int32_t real_id) {
  if (real_id <= 0) return;
  const uint32_t number = static_cast<uint32_t>(real_id);
  IdEntry* entry = abi::find_id(ids(), number);
  if (entry == nullptr || exists(number)) return;
  uint64_t owner = __atomic_load_n(&entry->owner, __ATOMIC_ACQUIRE);
  let_go(static_cast<uint32_t>(owner), number);
  __atomic_compare_exchange_n(&entry->owner, &owner, uint64_t{0}, false, __ATOMIC_ACQ_REL,
                              __ATOMIC_ACQUIRE);
}

int64_t finish_child(CallRecord& record, int64_t result, uint64_t& mask) {
  mask = record.mask & ~kSigsysBit;
  if (result == 0) {
    const int32_t id = static_cast<int32_t>(call(__NR_gettid));
    const int32_t known_as = adopt_id(id);
    if (record.flags & CLONE_CHILD_SETTID) correct_word(record.child_tid, id, known_as);
    if ((record.flags & CLONE_PARENT_SETTID) && (record.flags & CLONE_VM))
      correct_word(record.parent_tid, id, known_as);
    return 0;
  }
  // In this order: the record is anyone's afterwards.
  if (!failed(result)) {
    const int32_t id = static_cast<int32_t>(result);
    result = adopt_id(id);
    if (record.flags & CLONE_PARENT_SETTID)
      correct_word(record.parent_tid, id, static_cast<int32_t>(result));
  }
  if (record.release != 0)
    __atomic_store_n(reinterpret_cast<uint32_t*>(record.release), 0u, __ATOMIC_RELEASE);
  return result;
}

namespace {

enum class Program { kFine, kStatic, kUnknown };

bool has_interpreter(const uint8_t* head, int64_t length) {
  const Elf64_Ehdr* elf = reinterpret_cast<const Elf64_Ehdr*>(head);
  for (uint16_t i = 0; i < elf->e_phnum; ++i) {
    const uint64_t at = elf->e_phoff + uint64_t{i} * sizeof(Elf64_Phdr);
    if (at + sizeof(Elf64_Phdr) > static_cast<uint64_t>(length)) return true;
    if (reinterpret_cast<const Elf64_Phdr*>(head + at)->p_type == PT_INTERP) return true;
  }
  return false;
}

bool is_loader(const char* path) {
  for (; *path != '\0'; ++path)
    if (path[0] == 'l' && path[1] == 'd' && path[2] == '-' && path[3] == 'l') return true;
  return false;
}

// Whether the program at `fd` could run: one that does not load the agent is killed by the filter.
// A script's interpreter is not looked at further than one step.
Program examine(uint64_t fd, char* script) {
  alignas(8) uint8_t head[1024];
  const int64_t length = call(__NR_pread64, fd, address_of(head), sizeof head, 0);
  script[0] = '\0';
  if (length >= 3 && head[0] == '#' && head[1] == '!') {
    int64_t at = 2;
    int out = 0;
    while (at < length && (head[at] == ' ' || head[at] == '\t')) ++at;
    for (; at < length && head[at] > ' ' && out < 255; ++at)
      script[out++] = static_cast<char>(head[at]);
    script[out] = '\0';
    return Program::kFine;
  }
  const bool elf = length >= static_cast<int64_t>(sizeof(Elf64_Ehdr)) && head[0] == 0x7f &&
                   head[1] == 'E' && head[2] == 'L' && head[3] == 'F';
  if (!elf) return Program::kUnknown;
  if (head[EI_CLASS] != ELFCLASS64) return Program::kFine;  // 32-bit calls are not filtered
  return has_interpreter(head, length) ? Program::kFine : Program::kStatic;
}

void tell_static(const char* path) {
  static constexpr char kBefore[] = "ckrun: ";
  static constexpr char kAfter[] =
      " is statically linked: it cannot run in a job that was restarted with --pids virtual\n";
  uint64_t length = 0;
  while (path[length] != '\0') ++length;
  call(__NR_write, 2, address_of(kBefore), sizeof kBefore - 1);
  call(__NR_write, 2, address_of(path), length);
  call(__NR_write, 2, address_of(kAfter), sizeof kAfter - 1);
}

bool read_path(char* to, uint64_t from, uint64_t room) {
  constexpr uint64_t kPage = 4096;  // what lies on the next one may not be there
  for (uint64_t done = 0; done < room;) {
    uint64_t part = kPage - (from + done) % kPage;
    if (part > room - done) part = room - done;
    if (!read_memory(to + done, from + done, part)) return false;
    for (; part > 0; --part)
      if (to[done++] == '\0') return true;
  }
  return false;
}

// 0, or the error that the exec gets.
int64_t may_execute(const Trap& trap) {
  const bool at = trap.number == __NR_execveat;
  const uint64_t flags = at ? trap.args[4] & AT_EMPTY_PATH : 0;
  const uint64_t folder = at ? trap.args[0] : static_cast<uint64_t>(AT_FDCWD);
  char path[512];
  if (!read_path(path, trap.args[at ? 1 : 0], sizeof path)) return 0;  // the kernel knows best
  int64_t fd = path[0] == '\0' && flags != 0
                   ? call(__NR_fcntl, folder, F_DUPFD_CLOEXEC, 0)
                   : call(__NR_openat, folder, address_of(path), O_RDONLY | O_CLOEXEC);
  for (int depth = 0; !failed(fd) && depth < 2; ++depth) {
    char script[256];
    const Program program = examine(static_cast<uint64_t>(fd), script);
    call(__NR_close, static_cast<uint64_t>(fd));
    if (program == Program::kStatic && !is_loader(path)) {
      tell_static(path);
      return -EPERM;
    }
    if (script[0] == '\0') return 0;
    char* out = path;
    for (const char* from = script; *from != '\0';) *out++ = *from++;
    *out = '\0';
    fd = call(__NR_openat, static_cast<uint64_t>(AT_FDCWD), address_of(path), O_RDONLY | O_CLOEXEC);
  }
  return 0;
}

// Where an entry of the environment begins with a name.
struct Entries {
  uint64_t area = 0, preload = 0;
};

bool begins_with(const char* text, const char* prefix) {
  while (*prefix != '\0')
    if (*text++ != *prefix++) return false;
  return true;
}

Entries find_entries(uint64_t environment) {
  static constexpr char kPreload[] = "LD_PRELOAD=";
  Entries found;
  for (; environment != 0; environment += 8) {
    uint64_t entry = 0;
    char name[12] = {};
    if (!read_memory(&entry, environment, sizeof entry) || entry == 0) break;
    if (!read_memory(name, entry, sizeof name - 1)) continue;
    if (begins_with(name, kPreload)) found.preload = entry;
    if (begins_with(name, abi::kAreaVariable) && name[sizeof abi::kAreaVariable - 1] == '=')
      found.area = entry;
  }
  return found;
}

// libc passes the environment of the program's former life on where no wrapper sees it (system(3),
// popen(3)); it names the control area of that time.
int64_t renew_environment(uint64_t environment) {
  static constexpr char kLost[] =
      "ckrun: in a job that was restarted with --pids virtual no program can be started with an "
      "environment that lacks the agent\n";
  const Entries entries = find_entries(environment);
  char known[abi::kPathBytes];
  const uint64_t place = entries.area + sizeof abi::kAreaVariable;
  uint64_t wanted = 0;
  while (area->path[wanted] != '\0') ++wanted;
  if (entries.area == 0 || entries.preload == 0 || !read_path(known, place, sizeof known)) {
    call(__NR_write, 2, address_of(kLost), sizeof kLost - 1);
    return -EPERM;
  }
  if (begins_with(known, area->path) && known[wanted] == '\0') return 0;
  uint64_t length = 0;
  while (known[length] != '\0') ++length;
  return length == wanted && write_memory(place, area->path, wanted) ? 0 : -EPERM;
}

// What /proc/self/exe would lead to is the restorer.
void correct_program(Trap& trap) {
  const int index = trap.number == __NR_execveat ? 1 : 0;
  char path[kPathRoom], room[kPathRoom];
  if (!read_path(path, trap.args[index], sizeof path)) return;
  const char* corrected = real_path(path, room);
  if (corrected == path) return;
  if (corrected == agent_page()->exe) trap.args[index] = address_of(corrected);
}

}  // namespace

bool trap_children(Trap& trap) {
  switch (trap.number) {
    case __NR_fork:
    case __NR_vfork:
    case __NR_clone:
    case __NR_clone3: {
      Plan plan;
      const int64_t error = read_plan(trap, plan);
      if (error != 0)
        trap.answer(error);
      else
        start_child(trap, plan);
      return true;
    }
    case __NR_execve:
    case __NR_execveat: {
      CallRecord* record = trap.begin_record();
      correct_program(trap);
      int64_t error = may_execute(trap);
      if (error == 0) error = renew_environment(trap.args[trap.number == __NR_execveat ? 3 : 2]);
      if (error != 0)
        trap.answer(error);
      else
        trap.go_plain(record);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace ck::agent
