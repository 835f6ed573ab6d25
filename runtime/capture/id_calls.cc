#include "runtime/capture/id_calls.h"

#include <sys/syscall.h>
#include <sys/uio.h>

#include <cstring>

#include "runtime/capture/interrupted_call.h"

namespace ck::capture {

namespace {

constexpr std::uint64_t kSigsys = std::uint64_t{1} << (SIGSYS - 1);
constexpr int kTrapCode = 1;  // SYS_SECCOMP

bool is_trap(const QueuedSignal& signal) {
  siginfo_t info{};
  if (signal.number != SIGSYS || signal.siginfo.size() < sizeof info) return false;
  std::memcpy(&info, signal.siginfo.data(), sizeof info);
  return info.si_code == kTrapCode && info.si_errno == static_cast<int>(abi::kTrapData);
}

// Everywhere else SIGSYS is never blocked.
Result<bool> in_handler(const TracedThread& thread) {
  if (CK_TRY(thread.signal_mask()) & kSigsys) return true;
  for (const QueuedSignal& signal : CK_TRY(thread.queued_signals(false)))
    if (is_trap(signal)) return true;
  return false;
}

bool in_range(std::uint64_t offset, std::uint32_t begin, std::uint32_t end) {
  return offset >= begin && offset <= end;
}

// Its call has ended otherwise than by our stop.
bool has_result(const user_regs_struct& registers, const abi::AgentPage& agent) {
  const std::uint64_t offset = registers.rip - agent.gate;
  if (!in_range(offset, agent.checked_call + 1, agent.checked_end)) return false;
  constexpr std::uint8_t kAnyCall[7] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05};  // behind restart_syscall(2)
  return examine(registers, nullptr, kAnyCall).restart == RestartClass::kNone;
}

bool is_clone(std::int64_t number) {
  return number == SYS_clone || number == SYS_clone3 || number == SYS_fork || number == SYS_vfork;
}

}  // namespace

Result<bool> leave_id_handler(TracedThread& thread, const abi::AgentPage& agent,
                              Deadline deadline) {
  const bool handled = CK_TRY(in_handler(thread));
  if (!handled && !has_result(CK_TRY(thread.registers()), agent)) return false;
  CK_TRY(thread.run_until(deadline, [&]() -> Result<bool> { return !CK_TRY(in_handler(thread)); }));
  return true;
}

std::optional<StubCall> find_stub_call(RealPid pid, const user_regs_struct& registers,
                                       const abi::AgentPage& agent) {
  if (agent.gate == 0) return std::nullopt;
  const std::uint64_t offset = registers.rip - agent.gate;
  const bool begun = offset == agent.plain_call + 2 || offset == agent.checked_call + 2;
  if (!begun && offset != agent.plain_call && offset != agent.checked_call) return std::nullopt;
  StubCall call;
  call.begun = begun;
  iovec here{&call.record, sizeof call.record};
  iovec there{reinterpret_cast<void*>(registers.rsp), sizeof call.record};
  if (::process_vm_readv(pid.value, &here, 1, &there, 1, 0) !=
          static_cast<ssize_t>(sizeof call.record) ||
      call.record.magic != abi::kCallRecordMagic)
    return std::nullopt;
  return call;
}

void leave_stub(RealPid pid, const abi::CallRecord& record, user_regs_struct& registers,
                std::uint64_t& signal_mask) {
  registers.rdi = record.args[0];
  registers.rsi = record.args[1];
  registers.rdx = record.args[2];
  registers.r10 = record.args[3];
  registers.r8 = record.args[4];
  registers.r9 = record.args[5];
  registers.rip = record.rip;
  registers.rsp = record.rsp;
  if (!is_clone(record.number)) return;
  signal_mask = record.mask & ~kSigsys;
  if (record.release == 0) return;
  std::uint32_t free = 0;
  iovec here{&free, sizeof free};
  iovec there{reinterpret_cast<void*>(record.release), sizeof free};
  (void)::process_vm_writev(pid.value, &here, 1, &there, 1, 0);
}

}  // namespace ck::capture
