// Calls that neither wait nor depend on the signal mask: translated and made in the handler.
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "interpose/ids.h"

namespace ck::agent {

using abi::address_of;

namespace {

constexpr uint64_t kIoprioWhoUser = 3;  // linux/ioprio.h is not C++

// Replaces the id at `place`, if the call has succeeded.
int64_t translate_at(uint64_t place, int64_t result) {
  int32_t id = 0;
  if (failed(result) || place == 0 || !read_memory(&id, place, sizeof id)) return result;
  const int32_t known_as = virtual_id(id);
  if (known_as != id) write_memory(place, &known_as, sizeof known_as);
  return result;
}

int64_t result_id(int64_t result) {
  return failed(result) ? result : virtual_id(result);
}

bool first_is_id(int64_t number) {
  switch (number) {
    case __NR_sched_setparam:
    case __NR_sched_getparam:
    case __NR_sched_setscheduler:
    case __NR_sched_getscheduler:
    case __NR_sched_rr_get_interval:
    case __NR_sched_setaffinity:
    case __NR_sched_getaffinity:
    case __NR_sched_setattr:
    case __NR_sched_getattr:
    case __NR_prlimit64:
    case __NR_move_pages:
    case __NR_migrate_pages:
    case __NR_get_robust_list:
    case __NR_process_vm_readv:
    case __NR_process_vm_writev:
    case __NR_pidfd_open:
      return true;
    default:
      return false;
  }
}

int64_t owner_call(Trap& trap) {
  f_owner_ex owner{};
  switch (as_id(trap.args[1])) {
    case F_SETOWN:
      trap.args[2] = signed_real(trap.args[2]);
      return trap.make();
    case F_GETOWN: {
      const int64_t result = trap.make();
      return failed(result) ? result
                            : abi::signed_to_virtual(ids(), as_id(static_cast<uint64_t>(result)));
    }
    case F_SETOWN_EX:
      if (!read_memory(&owner, trap.args[2], sizeof owner)) return -EFAULT;
      owner.pid = abi::to_real(ids(), owner.pid);
      trap.args[2] = address_of(&owner);
      return trap.make();
    case F_GETOWN_EX:
      return translate_at(trap.args[2] + offsetof(f_owner_ex, pid), trap.make());
    default:  // F_GETLK, F_OFD_GETLK
      return translate_at(trap.args[2] + offsetof(struct flock, l_pid), trap.make());
  }
}

// Owners of sockets: a process, or a group as a negative number.
int64_t ioctl_call(Trap& trap) {
  int32_t id = 0;
  switch (trap.args[1]) {
    case FIOSETOWN:
    case SIOCSPGRP:
      if (!read_memory(&id, trap.args[2], sizeof id)) return -EFAULT;
      id = abi::signed_to_real(ids(), id);
      trap.args[2] = address_of(&id);
      return trap.make();
    case FIOGETOWN:
    case SIOCGPGRP: {
      const uint64_t place = trap.args[2];
      const int64_t result = trap.make();
      if (failed(result) || !read_memory(&id, place, sizeof id)) return result;
      id = abi::signed_to_virtual(ids(), id);
      write_memory(place, &id, sizeof id);
      return result;
    }
    default:  // TIOCGPGRP, TIOCGSID
      return translate_at(trap.args[2], trap.make());
  }
}

int64_t timer_call(Trap& trap) {
  constexpr uint64_t kEventBytes = 64;
  uint8_t event[kEventBytes];
  if (!read_memory(event, trap.args[1], kEventBytes)) return -EFAULT;
  sigevent* asked = reinterpret_cast<sigevent*>(event);
  if (asked->sigev_notify & SIGEV_THREAD_ID)
    asked->_sigev_un._tid = abi::to_real(ids(), asked->_sigev_un._tid);
  trap.args[1] = address_of(event);
  return trap.make();
}

// CPU time clocks of others: ~id << 3 (kernel: posix-timers.h). ~fd << 3 | 3 is a descriptor's.
uint64_t real_clock(uint64_t clock) {
  const int32_t number = as_id(clock);
  if (number >= 0 || (number & 3) == 3) return clock;
  const int32_t id = ~(number >> 3);
  if (id == 0) return clock;
  const uint32_t changed =
      static_cast<uint32_t>(~abi::to_real(ids(), id)) << 3 | (static_cast<uint32_t>(number) & 7);
  return changed;
}

int64_t prctl_call(Trap& trap) {
  switch (as_id(trap.args[0])) {
    case PR_GET_NO_NEW_PRIVS: {  // the filter has needed it, not the program
      const int64_t result = trap.make();
      return failed(result) ? result : agent_page()->no_new_privs;
    }
    case PR_GET_SECCOMP: {
      const int64_t result = trap.make();
      return result == 2 ? 0 : result;  // that is ours: with another the job could not be kept
    }
    case PR_SET_NO_NEW_PRIVS: {
      const int64_t result = trap.make();
      if (result == 0) agent_page()->no_new_privs = ids()->no_new_privs = 1;
      return result;
    }
    case PR_SET_PTRACER:
      if (as_id(trap.args[1]) > 0) trap.args[1] = real(trap.args[1]);
      return trap.make();
    default:
      return trap.make();
  }
}

}  // namespace

// Who am I, who is that.
bool trap_identity(Trap& trap) {
  switch (trap.number) {
    case __NR_getpid:
    case __NR_gettid:
    case __NR_getppid:
    case __NR_getpgrp:
    case __NR_setsid:
      trap.answer(result_id(trap.make()));
      return true;
    case __NR_getpgid:
    case __NR_getsid:
      trap.args[0] = real(trap.args[0]);
      trap.answer(result_id(trap.make()));
      return true;
    case __NR_setpgid:
    case __NR_kcmp:
      trap.args[0] = real(trap.args[0]);
      trap.args[1] = real(trap.args[1]);
      trap.answer(trap.make());
      return true;
    default:
      return false;
  }
}

// Whom is it about.
bool trap_targets(Trap& trap) {
  if (first_is_id(trap.number)) {
    trap.args[0] = real(trap.args[0]);
    trap.answer(trap.make());
    return true;
  }
  switch (trap.number) {
    case __NR_getpriority:
    case __NR_setpriority:
      if (trap.args[0] != PRIO_USER) trap.args[1] = real(trap.args[1]);
      break;
    case __NR_ioprio_get:
    case __NR_ioprio_set:
      if (trap.args[0] != kIoprioWhoUser) trap.args[1] = real(trap.args[1]);
      break;
    case __NR_ptrace:
      trap.args[1] = real(trap.args[1]);
      break;
    case __NR_clock_gettime:
    case __NR_clock_getres:
      trap.args[0] = real_clock(trap.args[0]);
      break;
    default:
      return false;
  }
  trap.answer(trap.make());
  return true;
}

// Kernel objects that hold ids.
bool trap_objects(Trap& trap) {
  switch (trap.number) {
    case __NR_fcntl:
      trap.answer(owner_call(trap));
      return true;
    case __NR_timer_create:
      trap.args[0] = real_clock(trap.args[0]);
      trap.answer(trap.args[1] != 0 ? timer_call(trap) : trap.make());
      return true;
    case __NR_ioctl:
      trap.answer(ioctl_call(trap));
      return true;
    case __NR_getsockopt:  // SO_PEERCRED
      trap.answer(translate_at(trap.args[3] + offsetof(ucred, pid), trap.make()));
      return true;
    case __NR_prctl:
      trap.answer(prctl_call(trap));
      return true;
    default:
      return false;
  }
}

}  // namespace ck::agent
