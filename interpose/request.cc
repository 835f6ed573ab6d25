// The request signal (`kill -USR2 PROGRAM`): a handler that tells the supervisor. Armed only while
// the program has left the signal at its default; a handler of the program's own replaces it.
#include <linux/futex.h>
#include <signal.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include "interpose/agent.h"
#include "runtime/abi/gate.h"
#include "runtime/abi/sigaction.h"

namespace ck::agent {

using abi::address_of;
using abi::gate;

namespace {

constexpr uint64_t kSaRestorer = 0x04000000;

extern "C" void ck_request_return();
asm(".text\n"
    ".type ck_request_return, @function\n"
    "ck_request_return:\n\t"
    "mov $15, %eax\n\t"  // rt_sigreturn
    "syscall\n\t"
    "ud2\n");

// The kernel has made an interrupted call fail with EINTR although only this signal interrupted it;
// for the calls that SA_RESTART does not cover, the wrappers' record tells which call it was.
void restart_interrupted_call(ucontext_t* context) {
  greg_t* regs = context->uc_mcontext.gregs;
  if (regs[REG_RAX] != -4 /* EINTR */) return;
  const abi::TimedCall* record = timed_call;
  if (record == nullptr || record->magic != abi::kTimedCallMagic) return;
  if (address_of(record) < static_cast<uint64_t>(regs[REG_RSP])) return;
  const uint8_t* instruction = reinterpret_cast<const uint8_t*>(regs[REG_RIP] - 2);
  if (instruction[0] != 0x0f || instruction[1] != 0x05) return;
  regs[REG_RAX] = record->number;
  regs[REG_RIP] -= 2;
}

// An undumpable process cannot be traced; the engine asks it to be dumpable for a moment.
bool answer_dumpable_request() {
  if (__atomic_load_n(&area->dumpable_wanted, __ATOMIC_ACQUIRE) !=
      static_cast<int32_t>(gate(__NR_getpid)))
    return false;
  const int64_t before = gate(__NR_prctl, PR_GET_DUMPABLE);
  gate(__NR_prctl, PR_SET_DUMPABLE, 1);
  __atomic_store_n(&area->dumpable_wanted, 0, __ATOMIC_RELEASE);
  __atomic_store_n(&area->dumpable_was, static_cast<int32_t>(before) + 1, __ATOMIC_RELEASE);
  return true;
}

void on_request(int, siginfo_t*, void* context) {
  if (!answer_dumpable_request()) {
    __atomic_fetch_add(&area->requests, 1u, __ATOMIC_ACQ_REL);
    gate(__NR_futex, address_of(&area->requests), FUTEX_WAKE, 0x7fffffff);
  }
  restart_interrupted_call(static_cast<ucontext_t*>(context));
}

}  // namespace

void arm_request_signal() {
  const uint64_t number = static_cast<uint64_t>(area->request_signal);
  abi::KernelSigaction action{};
  if (number == 0 || gate(__NR_rt_sigaction, number, 0, address_of(&action), 8) != 0) return;
  if (action.handler != 0 /* SIG_DFL */) return;
  action = {reinterpret_cast<uint64_t>(&on_request),
            SA_SIGINFO | SA_RESTART | SA_ONSTACK | kSaRestorer,
            reinterpret_cast<uint64_t>(&ck_request_return), 0};
  gate(__NR_rt_sigaction, number, address_of(&action), 0, 8);
}

}  // namespace ck::agent
