// The SIGSYS handler, and the program's signals on their way to it.
#include <errno.h>
#include <sys/uio.h>

#include "interpose/ids.h"

namespace ck::agent {

using abi::address_of;
using abi::CallRecord;

__thread uint32_t believes_blocked = 0;

namespace {

constexpr int kSysSeccomp = 1;  // si_code of a trap

bool copy_memory(int64_t how, uint64_t here, uint64_t there, size_t bytes) {
  const iovec own{reinterpret_cast<void*>(here), bytes};
  const iovec other{reinterpret_cast<void*>(there), bytes};
  const uint64_t pid = static_cast<uint64_t>(call(__NR_getpid));
  const int64_t done = call(how, pid, address_of(&own), 1, address_of(&other), 1, 0);
  return done == static_cast<int64_t>(bytes);
}

}  // namespace

bool read_memory(void* to, uint64_t from, size_t bytes) {
  return copy_memory(__NR_process_vm_readv, address_of(to), from, bytes);
}

bool write_memory(uint64_t to, const void* from, size_t bytes) {
  return copy_memory(__NR_process_vm_writev, address_of(from), to, bytes);
}

void make_virtual(siginfo_t* info) {
  if (int32_t* id = abi::id_in_siginfo(info)) *id = virtual_id(*id);
}

// Whether the kernel has put the handler's frame on the alternate stack, away from the program's.
bool Trap::on_other_stack() const {
  const uint64_t begin = address_of(static_cast<char*>(context_->uc_stack.ss_sp));
  const uint64_t size = context_->uc_stack.ss_size;
  const auto inside = [&](uint64_t place) { return place - begin < size; };
  return inside(address_of(context_)) && !inside(static_cast<uint64_t>(regs_[REG_RSP]));
}

CallRecord* Trap::begin_record() {
  uint64_t at = address_of(context_) - 8 - kReserve;
  if (on_other_stack()) at = static_cast<uint64_t>(regs_[REG_RSP]) - kRedZone - kReserve;
  CallRecord* record = reinterpret_cast<CallRecord*>((at + 15) & ~uint64_t{15});
  record->magic = abi::kCallRecordMagic;
  record->number = number;
  for (int i = 0; i < 6; ++i) record->args[i] = args[i];
  record->rip = static_cast<uint64_t>(regs_[REG_RIP]);
  record->rsp = static_cast<uint64_t>(regs_[REG_RSP]);
  record->mask = 0;
  record->release = 0;
  return record;
}

void Trap::go(const CallRecord* record, uint32_t stub) {
  regs_[REG_RAX] = number;
  regs_[REG_RDI] = static_cast<greg_t>(args[0]);
  regs_[REG_RSI] = static_cast<greg_t>(args[1]);
  regs_[REG_RDX] = static_cast<greg_t>(args[2]);
  regs_[REG_R10] = static_cast<greg_t>(args[3]);
  regs_[REG_R8] = static_cast<greg_t>(args[4]);
  regs_[REG_R9] = static_cast<greg_t>(args[5]);
  regs_[REG_RSP] = static_cast<greg_t>(address_of(record));
  regs_[REG_RIP] = static_cast<greg_t>(agent_page()->gate + stub);
}

void leave_record(const CallRecord& record, greg_t* regs) {
  regs[REG_RDI] = static_cast<greg_t>(record.args[0]);
  regs[REG_RSI] = static_cast<greg_t>(record.args[1]);
  regs[REG_RDX] = static_cast<greg_t>(record.args[2]);
  regs[REG_R10] = static_cast<greg_t>(record.args[3]);
  regs[REG_R8] = static_cast<greg_t>(record.args[4]);
  regs[REG_R9] = static_cast<greg_t>(record.args[5]);
  regs[REG_RSP] = static_cast<greg_t>(record.rsp);
  regs[REG_RIP] = static_cast<greg_t>(record.rip);
}

void undo_record(const CallRecord& record, greg_t* regs) {
  leave_record(record, regs);
  regs[REG_RIP] -= 2;  // the syscall instruction
  regs[REG_RAX] = record.number;
}

int64_t finish(CallRecord& record, int64_t result, uint64_t& mask) {
  switch (record.number) {
    case __NR_clone:
    case __NR_clone3:
    case __NR_fork:
    case __NR_vfork:
      return finish_child(record, result, mask);
    default:
      return finish_wait(record, result);
  }
}

namespace {

CallRecord* record_at(const greg_t* regs) {
  CallRecord* record = reinterpret_cast<CallRecord*>(regs[REG_RSP]);
  return record->magic == abi::kCallRecordMagic ? record : nullptr;
}

void finish_in(ucontext_t* context, CallRecord& record, int64_t result) {
  greg_t* regs = context->uc_mcontext.gregs;
  uint64_t& mask = *reinterpret_cast<uint64_t*>(&context->uc_sigmask);
  if (record.number == __NR_futex) {
    bool again = false;
    result = finish_futex(result, again);
    if (again) return undo_record(record, regs);
    leave_record(record, regs);
  } else {
    // It may give the record free.
    const CallRecord copy = record;
    result = finish(record, result, mask);
    leave_record(copy, regs);
  }
  regs[REG_RAX] = result;
}

bool dispatch(Trap& trap) {
  return trap_identity(trap) || trap_signals(trap) || trap_targets(trap) || trap_waits(trap) ||
         trap_children(trap) || trap_objects(trap) || trap_system_v(trap) || trap_futex(trap);
}

void run_program_handler(const abi::KernelSigaction& action, int number, siginfo_t* info,
                         ucontext_t* context) {
  uint64_t mask = (*reinterpret_cast<uint64_t*>(&context->uc_sigmask) | action.mask) & ~kSigsysBit;
  call(__NR_rt_sigprocmask, SIG_SETMASK, address_of(&mask), 0, 8);
  reinterpret_cast<void (*)(int, siginfo_t*, void*)>(action.handler)(number, info, context);
}

// SIGSYS that somebody sent, or that a filter of the program's own has raised.
void foreign_sigsys(int number, siginfo_t* info, ucontext_t* context) {
  const abi::KernelSigaction& action = agent_page()->actions[SIGSYS];
  if (action.handler > 1) return run_program_handler(action, number, info, context);
  if (action.handler == 1 || believes_blocked) return;
  const abi::KernelSigaction standard{};
  call(__NR_rt_sigaction, SIGSYS, address_of(&standard), 0, 8);
  const uint64_t pid = static_cast<uint64_t>(call(__NR_getpid));
  call(__NR_tgkill, pid, static_cast<uint64_t>(call(__NR_gettid)), SIGSYS);
}

// A thread in a stub when a signal of the program's own comes: the handler may look at its context,
// change it, last for hours, or never return. So there is nothing of a stub in it any more. Returns
// the mask that was in force: in some calls it is another than the one to return to.
uint64_t clear_context(ucontext_t* context) {
  greg_t* regs = context->uc_mcontext.gregs;
  const abi::AgentPage* page = agent_page();
  const uint64_t outer = *reinterpret_cast<const uint64_t*>(&context->uc_sigmask);
  const uint64_t offset = static_cast<uint64_t>(regs[REG_RIP]) - page->gate;
  if (offset < page->plain_call || offset > page->checked_end) return outer;
  const bool plain = offset < page->plain_end;
  CallRecord* record = record_at(regs);
  if (record == nullptr) return outer;
  const uint64_t mask = record->mask != 0 ? record->mask : outer;
  if (offset == page->plain_call || offset == page->checked_call) {
    undo_record(*record, regs);
  } else if (plain && offset == page->plain_call + 2) {
    leave_record(*record, regs);
  } else if (!plain) {
    const bool stored = offset != page->checked_call + 2;
    finish_in(context, *record, stored ? record->result : regs[REG_RAX]);
  } else {
    return outer;  // the call is over
  }
  return mask;
}

}  // namespace

extern "C" __attribute__((used)) void ck_trapped(int number, siginfo_t* info, void* place) {
  ucontext_t* context = static_cast<ucontext_t*>(place);
  if (info->si_code != kSysSeccomp || info->si_errno != static_cast<int>(abi::kTrapData))
    return foreign_sigsys(number, info, context);
  greg_t* regs = context->uc_mcontext.gregs;
  if (static_cast<uint32_t>(info->si_syscall) == abi::kComeBack) {
    if (CallRecord* record = record_at(regs)) finish_in(context, *record, record->result);
    return;
  }
  Trap trap(context);
  trap.number = info->si_syscall;
  if (!dispatch(trap)) trap.answer(-ENOSYS);
}

// All signals are blocked here; what the program wants to be blocked in its handler is set last.
extern "C" __attribute__((used)) uint64_t ck_prepare_delivery(int number, siginfo_t* info,
                                                              void* place) {
  ucontext_t* context = static_cast<ucontext_t*>(place);
  const abi::KernelSigaction action = agent_page()->actions[number];
  uint64_t mask = clear_context(context);
  if (action.flags & SA_SIGINFO) make_virtual(info);
  mask |= action.mask;
  if (!(action.flags & SA_NODEFER)) mask |= uint64_t{1} << (number - 1);
  mask &= ~kSigsysBit;
  call(__NR_rt_sigprocmask, SIG_SETMASK, address_of(&mask), 0, 8);
  return action.handler;
}

}  // namespace ck::agent
