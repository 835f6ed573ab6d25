// Signals: sent, handled, blocked, waited for.
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "interpose/ids.h"

namespace ck::agent {

using abi::address_of;
using abi::CallRecord;
using abi::KernelSigaction;

extern __thread uint32_t believes_blocked __attribute__((tls_model("initial-exec")));

namespace {

constexpr uint64_t kMaskBytes = 8;
constexpr uint64_t kNeverBlocked = uint64_t{1} << (SIGKILL - 1) | uint64_t{1} << (SIGSTOP - 1);

int64_t change_mask(Trap& trap) {
  if (trap.args[3] != kMaskBytes) return -EINVAL;
  const uint64_t before = trap.mask() | (believes_blocked ? kSigsysBit : 0);
  uint64_t mask = before;
  if (trap.args[1] != 0) {
    uint64_t set = 0;
    if (!read_memory(&set, trap.args[1], sizeof set)) return -EFAULT;
    switch (as_id(trap.args[0])) {
      case SIG_BLOCK:
        mask |= set;
        break;
      case SIG_UNBLOCK:
        mask &= ~set;
        break;
      case SIG_SETMASK:
        mask = set;
        break;
      default:
        return -EINVAL;
    }
  }
  if (trap.args[2] != 0 && !write_memory(trap.args[2], &before, sizeof before)) return -EFAULT;
  believes_blocked = (mask & kSigsysBit) != 0;
  trap.mask() = mask & ~kSigsysBit & ~kNeverBlocked;
  return 0;
}

// The kernel's disposition of SIGSYS is always ours.
int64_t change_sigsys(const KernelSigaction* wanted, KernelSigaction& before) {
  KernelSigaction& own = agent_page()->actions[SIGSYS];
  before = own;
  if (wanted != nullptr) own = *wanted;
  return 0;
}

int64_t change_other(uint64_t number, const KernelSigaction* wanted, KernelSigaction& before) {
  abi::AgentPage* page = agent_page();
  const KernelSigaction noted = page->actions[number];
  KernelSigaction given{};
  if (wanted != nullptr) {
    given = *wanted;
    if (given.handler > 1) {
      page->actions[number] = *wanted;
      given.handler = page->deliver;
      given.mask = ~uint64_t{0};
    }
  }
  const int64_t result = call(__NR_rt_sigaction, number, wanted != nullptr ? address_of(&given) : 0,
                              address_of(&before), 8);
  if (result != 0) page->actions[number] = noted;
  if (before.handler == page->deliver) before = noted;
  return result;
}

int64_t change_action(Trap& trap) {
  const uint64_t number = trap.args[0];
  if (trap.args[3] != kMaskBytes || number < 1 || number > abi::kLastSignal) return -EINVAL;
  KernelSigaction wanted{};
  KernelSigaction before{};
  const bool changes = trap.args[1] != 0;
  if (changes && !read_memory(&wanted, trap.args[1], sizeof wanted)) return -EFAULT;
  const KernelSigaction* change = changes ? &wanted : nullptr;
  const int64_t result =
      number == SIGSYS ? change_sigsys(change, before) : change_other(number, change, before);
  if (result != 0 || trap.args[2] == 0) return result;
  return write_memory(trap.args[2], &before, sizeof before) ? 0 : -EFAULT;
}

// The call sets a mask for as long as it lasts.
void wait_with_mask(Trap& trap, int index) {
  CallRecord* record = trap.begin_record();
  uint64_t* mask = Trap::extra<uint64_t>(record);
  if (trap.args[index] != 0 && read_memory(mask, trap.args[index], sizeof *mask)) {
    *mask &= ~kSigsysBit;
    record->mask = *mask | kSigsysBit;
    trap.args[index] = address_of(mask);
  }
  trap.go_plain(record);
}

// pselect6 and io_pgetevents: the last argument leads to the mask's address and size.
void wait_with_mask_behind(Trap& trap) {
  struct Pair {
    uint64_t mask, size;
  };
  CallRecord* record = trap.begin_record();
  Pair* pair = Trap::extra<Pair>(record);
  uint64_t* mask = reinterpret_cast<uint64_t*>(pair + 1);
  if (trap.args[5] != 0 && read_memory(pair, trap.args[5], sizeof *pair) && pair->mask != 0 &&
      read_memory(mask, pair->mask, sizeof *mask)) {
    *mask &= ~kSigsysBit;
    record->mask = *mask | kSigsysBit;
    pair->mask = address_of(mask);
    trap.args[5] = address_of(pair);
  }
  trap.go_plain(record);
}

}  // namespace

bool trap_signals(Trap& trap) {
  CallRecord* record = nullptr;
  switch (trap.number) {
    case __NR_rt_sigprocmask:
      trap.answer(change_mask(trap));
      return true;
    case __NR_rt_sigaction:
      trap.answer(change_action(trap));
      return true;
    case __NR_rt_sigsuspend:
      wait_with_mask(trap, 0);
      return true;
    case __NR_ppoll:
      wait_with_mask(trap, 3);
      return true;
    case __NR_epoll_pwait:
    case __NR_epoll_pwait2:
      wait_with_mask(trap, 4);
      return true;
    case __NR_pselect6:
    case __NR_io_pgetevents:
      wait_with_mask_behind(trap);
      return true;
    case __NR_kill:
      record = trap.begin_record();
      trap.args[0] = signed_real(trap.args[0]);
      break;
    case __NR_tkill:
    case __NR_rt_sigqueueinfo:
      record = trap.begin_record();
      trap.args[0] = real(trap.args[0]);
      break;
    case __NR_tgkill:
    case __NR_rt_tgsigqueueinfo:
      record = trap.begin_record();
      trap.args[0] = real(trap.args[0]);
      trap.args[1] = real(trap.args[1]);
      break;
    default:
      return false;
  }
  trap.go_plain(record);
  return true;
}

bool trap_waits(Trap& trap) {
  CallRecord* record = nullptr;
  switch (trap.number) {
    case __NR_wait4:
      record = trap.begin_record();
      trap.args[0] = signed_real(trap.args[0]);
      trap.go_checked(record);
      return true;
    case __NR_waitid:
      record = trap.begin_record();
      if (trap.args[0] == P_PID || trap.args[0] == P_PGID) trap.args[1] = real(trap.args[1]);
      trap.go_checked(record);
      return true;
    case __NR_rt_sigtimedwait:
      trap.go_checked(trap.begin_record());
      return true;
    case __NR_ioctl: {
      if (trap.args[1] != TIOCSPGRP) return false;  // which may stop the caller
      record = trap.begin_record();
      int32_t* group = Trap::extra<int32_t>(record);
      if (read_memory(group, trap.args[2], sizeof *group)) {
        *group = abi::to_real(ids(), *group);
        trap.args[2] = address_of(group);
      }
      trap.go_plain(record);
      return true;
    }
    default:
      return false;
  }
}

int64_t finish_wait(const CallRecord& record, int64_t result) {
  if (failed(result)) return result;
  siginfo_t info;
  switch (record.number) {
    case __NR_wait4: {
      if (result == 0) return 0;
      const int32_t known_as = virtual_id(result);
      forget_id(static_cast<int32_t>(result));
      return known_as;
    }
    case __NR_waitid:
    case __NR_rt_sigtimedwait: {
      const uint64_t place = record.args[record.number == __NR_waitid ? 2 : 1];
      if (place == 0 || !read_memory(&info, place, sizeof info)) return result;
      const int32_t id = info.si_pid;
      if (record.number == __NR_waitid && info.si_signo == 0) return result;
      make_virtual(&info);
      if (info.si_pid != id) write_memory(place, &info, sizeof info);
      if (record.number == __NR_waitid) forget_id(id);
      return result;
    }
    default:
      return result;
  }
}

}  // namespace ck::agent
