// The code of the gate page, and how it comes there. It is copied, so it is position-independent;
// numbers in it are offsets of abi::CallRecord, checked below.
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "interpose/ids.h"

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

asm(".section ckgate, \"ax\", @progbits\n"
    ".type ck_gate_code, @function\n"
    "ck_gate_code:\n\t"  // int64_t (*)(number, six arguments)
    "mov %rdi, %rax\n\t"
    "mov %rsi, %rdi\n\t"
    "mov %rdx, %rsi\n\t"
    "mov %rcx, %rdx\n\t"
    "mov %r8, %r10\n\t"
    "mov %r9, %r8\n\t"
    "mov 8(%rsp), %r9\n\t"
    "syscall\n\t"
    "ret\n"
    // A call whose result is the program's. rcx and r11 are the kernel's to change.
    "ck_gate_plain:\n\t"
    "syscall\n\t"
    "mov 16(%rsp), %rdi\n\t"
    "mov 24(%rsp), %rsi\n\t"
    "mov 32(%rsp), %rdx\n\t"
    "mov 40(%rsp), %r10\n\t"
    "mov 48(%rsp), %r8\n\t"
    "mov 56(%rsp), %r9\n\t"
    "mov 64(%rsp), %rcx\n\t"
    "mov 72(%rsp), %rsp\n\t"
    "jmp *%rcx\n"
    "ck_gate_plain_end:\n"
    // One that comes back to the handler.
    "ck_gate_checked:\n\t"
    "syscall\n\t"
    "mov %rax, 80(%rsp)\n\t"
    "mov $0x00c6b6e5, %eax\n\t"
    "syscall\n\t"
    "ud2\n"
    "ck_gate_checked_end:\n"
    ".size ck_gate_code, . - ck_gate_code\n"
    ".text\n"
    // The SIGSYS handler proper. See kReserve.
    ".type ck_on_sigsys, @function\n"
    "ck_on_sigsys:\n\t"
    "sub $328, %rsp\n\t"
    "call ck_trapped\n\t"
    "add $328, %rsp\n\t"
    "ret\n"
    ".type ck_sigsys_return, @function\n"
    "ck_sigsys_return:\n\t"
    "mov $15, %eax\n\t"  // rt_sigreturn
    "syscall\n\t"
    "ud2\n"
    // The handler of all signals that the program handles: goes on as the program's own.
    ".type ck_deliver, @function\n"
    "ck_deliver:\n\t"
    "push %rdi\n\t"
    "push %rsi\n\t"
    "push %rdx\n\t"
    "call ck_prepare_delivery\n\t"
    "pop %rdx\n\t"
    "pop %rsi\n\t"
    "pop %rdi\n\t"
    "mov %rax, %r11\n\t"
    "xor %eax, %eax\n\t"
    "jmp *%r11\n");

extern "C" {
extern const char ck_gate_code[] __attribute__((visibility("hidden")));
extern const char ck_gate_plain[] __attribute__((visibility("hidden")));
extern const char ck_gate_plain_end[] __attribute__((visibility("hidden")));
extern const char ck_gate_checked[] __attribute__((visibility("hidden")));
extern const char ck_gate_checked_end[] __attribute__((visibility("hidden")));
extern const char ck_on_sigsys[] __attribute__((visibility("hidden")));
extern const char ck_sigsys_return[] __attribute__((visibility("hidden")));
extern const char ck_deliver[] __attribute__((visibility("hidden")));
}

namespace ck::agent {

using abi::address_of;
using abi::CallRecord;
using abi::gate;

static_assert(offsetof(CallRecord, args) == 16 && offsetof(CallRecord, rip) == 64 &&
              offsetof(CallRecord, rsp) == 72 && offsetof(CallRecord, result) == 80 &&
              abi::kComeBack == 0x00c6b6e5 && kReserve == 328);

extern __thread uint32_t believes_blocked __attribute__((tls_model("initial-exec")));

void describe_virtual_ids(abi::AgentPage* page) {
  const auto offset = [](const char* place) { return static_cast<uint32_t>(place - ck_gate_code); };
  page->gate_code_begin = address_of(ck_gate_code);
  page->gate_code_end = address_of(ck_gate_checked_end);
  page->serve_code_begin = page->code_begin;
  page->serve_code_end = page->code_end;
  page->serve_entry = page->serve - page->code_begin;
  page->on_sigsys = address_of(ck_on_sigsys);
  page->sigsys_return = address_of(ck_sigsys_return);
  page->deliver = address_of(ck_deliver);
  page->plain_call = offset(ck_gate_plain);
  page->plain_end = offset(ck_gate_plain_end);
  page->checked_call = offset(ck_gate_checked);
  page->checked_end = offset(ck_gate_checked_end);
  uint64_t thread_pointer;
  asm("mov %%fs:0, %0" : "=r"(thread_pointer));
  page->believes_blocked = static_cast<int64_t>(address_of(&believes_blocked) - thread_pointer);
}

namespace {

void copy(uint64_t to, uint64_t begin, uint64_t end) {
  char* target = reinterpret_cast<char*>(to);
  for (const char* from = reinterpret_cast<const char*>(begin);
       from < reinterpret_cast<const char*>(end);)
    *target++ = *from++;
}

[[noreturn]] void give_up(const char* why, uint64_t length) {
  gate(__NR_write, 2, address_of(why), length);
  gate(__NR_exit_group, 126);
  __builtin_unreachable();
}

bool map_gate_page(const abi::AgentPage& page, uint64_t where) {
  const int64_t mapped =
      gate(__NR_mmap, where, abi::kGateBytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, static_cast<uint64_t>(-1), 0);
  if (mapped != static_cast<int64_t>(where)) return false;
  copy(where, page.gate_code_begin, page.gate_code_end);
  copy(where + abi::kGateServe, page.serve_code_begin, page.serve_code_end);
  return gate(__NR_mprotect, where, abi::kGateBytes, PROT_READ | PROT_EXEC) == 0;
}

// The loader has asked the kernel for the thread's id, which nothing could trap yet, and libc keeps
// it in the word that is cleared at the thread's end.
void correct_own_tid() {
  const int32_t real_tid = static_cast<int32_t>(call(__NR_gettid));
  const int32_t known_as = virtual_id(real_tid);
  int32_t* word = nullptr;
  if (known_as == real_tid || call(__NR_prctl, PR_GET_TID_ADDRESS, address_of(&word)) != 0 ||
      word == nullptr || *word != real_tid)
    return;
  *word = known_as;
}

}  // namespace

void begin_virtual_ids() {
  if (!ids()->on) return;
  abi::AgentPage* page = agent_page();
  static constexpr char kTaken[] =
      "ckrun: this program cannot run in a job that was restarted with --pids virtual: it occupies "
      "the addresses of the agent's gate page\n";
  if (!map_gate_page(*page, ids()->gate)) give_up(kTaken, sizeof kTaken - 1);
  page->gate = ids()->gate;
  page->code_begin = page->gate + abi::kGateServe;
  page->code_end = page->code_begin + (page->serve_code_end - page->serve_code_begin);
  page->serve = page->code_begin + page->serve_entry;
  page->no_new_privs = ids()->no_new_privs;
  constexpr uint64_t kSaRestorer = 0x04000000;
  const abi::KernelSigaction action{page->on_sigsys, SA_SIGINFO | SA_ONSTACK | kSaRestorer,
                                    page->sigsys_return, ~uint64_t{0}};
  static constexpr char kRefused[] = "ckrun: SIGSYS cannot be handled\n";
  if (call(__NR_rt_sigaction, SIGSYS, address_of(&action), 0, 8) != 0)
    give_up(kRefused, sizeof kRefused - 1);
  correct_own_tid();
}

}  // namespace ck::agent
