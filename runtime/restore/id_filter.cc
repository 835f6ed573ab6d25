#include "runtime/restore/id_filter.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/sem.h>
#include <linux/shm.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>

#include "runtime/abi/ids.h"

// <fcntl.h> and <asm/fcntl.h> cannot both be included.
#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#endif

namespace ck::restore {

namespace {

using Values = std::vector<std::uint32_t>;

// When a call is looked at more closely than by its number. All conditions must hold.
struct Condition {
  enum class Kind {
    kNotNull,   // the whole argument
    kNotZero,   // its lower half, an int
    kNegative,  // the same
    kIn,        // the same, masked, is one of `values`
  };
  unsigned argument;
  Kind kind;
  std::uint32_t mask = ~0u;
  Values values;
};
using Kind = Condition::Kind;

struct Rule {
  long number;
  std::vector<Condition> conditions;
};

constexpr std::uint32_t kTiocGpgrp = 0x540f, kTiocSpgrp = 0x5410, kTiocGsid = 0x5429;
constexpr std::uint32_t kFioSetown = 0x8901, kSiocSpgrp = 0x8902, kFioGetown = 0x8903,
                        kSiocGpgrp = 0x8904;
constexpr std::uint32_t kFSetown = 8, kFGetown = 9, kFSetownEx = 15, kFGetownEx = 16, kFGetlk = 5;
constexpr std::uint32_t kPriorityOperations[] = {FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI,
                                                 13 /* FUTEX_LOCK_PI2 */};

std::vector<Rule> conditional_rules(bool system_v) {
  const Condition first_not_zero{0, Kind::kNotZero, ~0u, {}};
  const Condition second_not_zero{1, Kind::kNotZero, ~0u, {}};
  std::vector<Rule> rules;
  for (long number :
       {SYS_sched_setparam, SYS_sched_getparam, SYS_sched_setscheduler, SYS_sched_getscheduler,
        SYS_sched_rr_get_interval, SYS_sched_setaffinity, SYS_sched_getaffinity, SYS_sched_setattr,
        SYS_sched_getattr, SYS_prlimit64, SYS_move_pages, SYS_migrate_pages, SYS_get_robust_list})
    rules.push_back({number, {first_not_zero}});
  for (long number : {SYS_getpriority, SYS_setpriority, SYS_ioprio_get, SYS_ioprio_set})
    rules.push_back({number, {second_not_zero}});
  for (long number : {SYS_clock_gettime, SYS_clock_getres})
    rules.push_back({number, {{0, Kind::kNegative, ~0u, {}}}});
  rules.push_back(
      {SYS_fcntl,
       {{1, Kind::kIn, ~0u, {kFSetown, kFGetown, kFSetownEx, kFGetownEx, kFGetlk, F_OFD_GETLK}}}});
  rules.push_back(
      {SYS_ioctl,
       {{1,
         Kind::kIn,
         ~0u,
         {kTiocGpgrp, kTiocSpgrp, kTiocGsid, kFioSetown, kSiocSpgrp, kFioGetown, kSiocGpgrp}}}});
  rules.push_back(
      {SYS_getsockopt, {{1, Kind::kIn, ~0u, {SOL_SOCKET}}, {2, Kind::kIn, ~0u, {SO_PEERCRED}}}});
  rules.push_back({SYS_prctl,
                   {{0,
                     Kind::kIn,
                     ~0u,
                     {PR_GET_NO_NEW_PRIVS, PR_SET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_SET_PTRACER}}}});
  rules.push_back({SYS_ppoll, {{3, Kind::kNotNull, ~0u, {}}}});
  rules.push_back({SYS_epoll_pwait, {{4, Kind::kNotNull, ~0u, {}}}});
  rules.push_back({SYS_epoll_pwait2, {{4, Kind::kNotNull, ~0u, {}}}});
  rules.push_back({SYS_pselect6, {{5, Kind::kNotNull, ~0u, {}}}});
  rules.push_back({SYS_io_pgetevents, {{5, Kind::kNotNull, ~0u, {}}}});
  rules.push_back({SYS_rt_sigtimedwait, {{1, Kind::kNotNull, ~0u, {}}}});
  rules.push_back({SYS_futex,
                   {{1, Kind::kIn, static_cast<std::uint32_t>(FUTEX_CMD_MASK),
                     Values(std::begin(kPriorityOperations), std::end(kPriorityOperations))}}});
  if (system_v) return rules;
  rules.push_back({SYS_shmctl, {{1, Kind::kIn, 0xff, {IPC_STAT, SHM_STAT, SHM_STAT_ANY}}}});
  rules.push_back({SYS_msgctl, {{1, Kind::kIn, 0xff, {IPC_STAT, 11, 13}}}});  // MSG_STAT, _ANY
  rules.push_back({SYS_semctl, {{2, Kind::kIn, 0xff, {GETPID}}}});
  return rules;
}

constexpr std::array kAlways = {SYS_getpid,
                                SYS_gettid,
                                SYS_getppid,
                                SYS_getpgrp,
                                SYS_getpgid,
                                SYS_getsid,
                                SYS_setpgid,
                                SYS_setsid,
                                SYS_kcmp,
                                SYS_kill,
                                SYS_tkill,
                                SYS_tgkill,
                                SYS_rt_sigqueueinfo,
                                SYS_rt_tgsigqueueinfo,
                                SYS_rt_sigprocmask,
                                SYS_rt_sigaction,
                                SYS_rt_sigsuspend,
                                SYS_wait4,
                                SYS_waitid,
                                SYS_clone,
                                SYS_clone3,
                                SYS_fork,
                                SYS_vfork,
                                SYS_execve,
                                SYS_execveat,
                                SYS_pidfd_open,
                                SYS_process_vm_readv,
                                SYS_process_vm_writev,
                                SYS_ptrace,
                                SYS_timer_create};

constexpr std::array kSystemV = {SYS_shmget,     SYS_shmat,  SYS_shmctl, SYS_semget,
                                 SYS_semop,      SYS_semctl, SYS_msgget, SYS_msgsnd,
                                 SYS_semtimedop, SYS_msgrcv, SYS_msgctl};

Values always(bool system_v) {
  Values numbers(kAlways.begin(), kAlways.end());
  if (system_v) numbers.insert(numbers.end(), kSystemV.begin(), kSystemV.end());
  return numbers;
}

constexpr std::uint32_t low_half(unsigned argument) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * argument);
}

// Instructions; jumps to the common ends are filled in when these have their places.
class Program {
 public:
  void load(std::uint32_t offset) { add(BPF_LD | BPF_W | BPF_ABS, offset); }
  void mask(std::uint32_t bits) { add(BPF_ALU | BPF_AND | BPF_K, bits); }
  void add(std::uint16_t code, std::uint32_t value, std::uint8_t yes = 0, std::uint8_t no = 0) {
    code_.push_back({code, yes, no, value});
  }
  // Skips `count` instructions if the comparison says no.
  void unless(std::uint16_t comparison, std::uint32_t value, std::size_t count) {
    add(BPF_JMP | comparison | BPF_K, value, 0, static_cast<std::uint8_t>(count));
  }
  std::vector<sock_filter>& code() { return code_; }

 private:
  std::vector<sock_filter> code_;
};

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;

// Goes on behind these instructions if the condition holds, else lets the call pass.
void add_condition(Program& program, const Condition& condition) {
  program.load(low_half(condition.argument));
  switch (condition.kind) {
    case Kind::kNotNull:
      program.add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
      program.load(low_half(condition.argument) + 4);
      program.add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
      break;
    case Kind::kNotZero:
      program.add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
      break;
    case Kind::kNegative:
      program.add(BPF_JMP | BPF_JSET | BPF_K, 0x80000000u, 1, 0);
      break;
    case Kind::kIn:
      if (condition.mask != ~0u) program.mask(condition.mask);
      for (std::size_t i = 0; i < condition.values.size(); ++i)
        program.add(BPF_JMP | BPF_JEQ | BPF_K, condition.values[i],
                    static_cast<std::uint8_t>(condition.values.size() - i), 0);
      break;
  }
  program.add(BPF_RET | BPF_K, kAllow);
}

}  // namespace

std::vector<sock_filter> make_id_filter(std::uint64_t gate, bool system_v) {
  // The common end: from the gate page a call passes.
  Program end;
  end.load(offsetof(seccomp_data, instruction_pointer) + 4);
  end.add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(gate >> 32), 0, 4);
  end.load(offsetof(seccomp_data, instruction_pointer));
  end.add(BPF_JMP | BPF_JGE | BPF_K, static_cast<std::uint32_t>(gate), 0, 2);
  end.add(BPF_JMP | BPF_JGE | BPF_K, static_cast<std::uint32_t>(gate + abi::kGateBytes), 1, 0);
  end.add(BPF_RET | BPF_K, kAllow);
  end.add(BPF_RET | BPF_K, SECCOMP_RET_TRAP | abi::kTrapData);

  Program program;
  program.load(offsetof(seccomp_data, arch));
  program.add(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
  program.add(BPF_RET | BPF_K, kAllow);
  program.load(offsetof(seccomp_data, nr));
  program.unless(BPF_JEQ, abi::kComeBack, 1);
  program.add(BPF_RET | BPF_K, SECCOMP_RET_TRAP | abi::kTrapData);
  for (const Rule& rule : conditional_rules(system_v)) {
    Program body;
    for (const Condition& condition : rule.conditions) add_condition(body, condition);
    program.unless(BPF_JEQ, static_cast<std::uint32_t>(rule.number),
                   body.code().size() + end.code().size());
    for (const sock_filter& one : body.code()) program.code().push_back(one);
    for (const sock_filter& one : end.code()) program.code().push_back(one);
  }
  const Values numbers = always(system_v);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    program.add(BPF_JMP | BPF_JEQ | BPF_K, numbers[i],
                static_cast<std::uint8_t>(numbers.size() - i), 0);
  program.add(BPF_RET | BPF_K, kAllow);
  for (const sock_filter& one : end.code()) program.code().push_back(one);
  return std::move(program.code());
}

}  // namespace ck::restore
