#include "runtime/capture/interrupted_call.h"

#include <sys/syscall.h>

#include <cstring>

namespace ck::capture {

namespace {

// include/linux/errno.h of the kernel; never seen by programs.
constexpr std::int64_t kRestartSys = -512;
constexpr std::int64_t kRestartNoIntr = -513;
constexpr std::int64_t kRestartNoHand = -514;
constexpr std::int64_t kRestartBlock = -516;
constexpr std::int64_t kEintr = -4;

// Calls that answer EINTR by themselves but have done nothing yet, so that they may start again.
// (close(2) answers EINTR too, and has closed.)
bool may_repeat_after_eintr(std::int64_t number) {
  switch (number) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
    case SYS_rt_sigtimedwait:
    case SYS_semop:
    case SYS_semtimedop:
    case SYS_msgrcv:
    case SYS_msgsnd:
    case SYS_io_getevents:
    case SYS_io_pgetevents:
    case SYS_io_uring_enter:
    case SYS_poll:
    case SYS_ppoll:
    case SYS_select:
    case SYS_pselect6:
    case SYS_pause:
    case SYS_rt_sigsuspend:
    case SYS_futex:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_accept:
    case SYS_accept4:
    case SYS_read:
    case SYS_readv:
    case SYS_write:
    case SYS_writev:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_getrandom:
    case SYS_mq_timedreceive:
    case SYS_mq_timedsend:
      return true;
    default:
      return false;
  }
}

// "mov $number, %eax; syscall" before rip.
std::optional<std::int64_t> number_in_code(const std::uint8_t code[7]) {
  if (code[0] != 0xb8 || code[5] != 0x0f || code[6] != 0x05) return std::nullopt;
  std::int32_t number = 0;
  std::memcpy(&number, code + 1, sizeof number);
  return number;
}

RestartClass class_of(std::int64_t result, std::int64_t number) {
  switch (result) {
    case kRestartSys:
      return RestartClass::kUnlessPlainHandler;
    case kRestartNoIntr:
      return RestartClass::kAlways;
    case kRestartNoHand:
    case kRestartBlock:
      return RestartClass::kUnlessHandler;
    case kEintr:
      return may_repeat_after_eintr(number) ? RestartClass::kUnlessHandler : RestartClass::kNone;
    default:
      return RestartClass::kNone;
  }
}

}  // namespace

InterruptedCall examine(const user_regs_struct& registers, const abi::TimedCall* record,
                        const std::uint8_t code_before[7]) {
  const auto original = static_cast<std::int64_t>(registers.orig_rax);
  if (original < 0) return {};
  std::int64_t number = original;
  if (original == SYS_restart_syscall) {
    number = -1;
    if (record != nullptr)
      number = record->number;
    else if (const auto coded = number_in_code(code_before))
      number = *coded;
    if (number < 0) return {};
  }
  const RestartClass restart = class_of(static_cast<std::int64_t>(registers.rax), number);
  if (restart == RestartClass::kNone) return {};
  return {restart, number};
}

}  // namespace ck::capture
