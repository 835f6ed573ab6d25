// The filter as the kernel reads it: a small interpreter of the instructions that it uses.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <boost/test/unit_test.hpp>
#include <cstring>

#include "runtime/abi/ids.h"
#include "runtime/restore/id_filter.h"

namespace {

using namespace ck;

constexpr std::uint64_t kGate = 0x5f0000000000, kElsewhere = 0x7f0012345678;

std::uint32_t run(const std::vector<sock_filter>& filter, const seccomp_data& data) {
  std::uint32_t a = 0;
  for (std::size_t at = 0; at < filter.size(); ++at) {
    const sock_filter& one = filter[at];
    bool yes = false;
    switch (one.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + one.k, sizeof a);
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= one.k;
        continue;
      case BPF_RET | BPF_K:
        return one.k;
      case BPF_JMP | BPF_JEQ | BPF_K:
        yes = a == one.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        yes = a >= one.k;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        yes = (a & one.k) != 0;
        break;
      default:
        BOOST_FAIL("an instruction that is not known here");
    }
    at += yes ? one.jt : one.jf;
  }
  BOOST_FAIL("the filter has no end");
  return 0;
}

struct Filter {
  explicit Filter(bool system_v = false) : code(restore::make_id_filter(kGate, system_v)) {}
  std::vector<sock_filter> code;
  bool traps(long number, std::initializer_list<std::uint64_t> arguments = {},
             std::uint64_t from = kElsewhere, std::uint32_t arch = AUDIT_ARCH_X86_64) const {
    seccomp_data data{};
    data.nr = static_cast<int>(number);
    data.arch = arch;
    data.instruction_pointer = from;
    std::size_t i = 0;
    for (std::uint64_t argument : arguments) data.args[i++] = argument;
    const std::uint32_t result = run(code, data);
    BOOST_TEST((result == SECCOMP_RET_ALLOW || result == (SECCOMP_RET_TRAP | ck::abi::kTrapData)));
    return result != SECCOMP_RET_ALLOW;
  }
};

BOOST_AUTO_TEST_SUITE(id_filter)

BOOST_FIXTURE_TEST_CASE(calls_with_ids, Filter) {
  for (long number : {SYS_getpid, SYS_kill, SYS_wait4, SYS_clone3, SYS_execve, SYS_timer_create})
    BOOST_TEST(traps(number));
  for (long number : {SYS_read, SYS_openat, SYS_set_tid_address, SYS_rt_sigreturn, SYS_mmap})
    BOOST_TEST(!traps(number));
}

BOOST_FIXTURE_TEST_CASE(the_gate_is_open, Filter) {
  BOOST_TEST(!traps(SYS_getpid, {}, kGate));
  BOOST_TEST(!traps(SYS_getpid, {}, kGate + ck::abi::kGateBytes - 1));
  BOOST_TEST(traps(SYS_getpid, {}, kGate - 1));
  BOOST_TEST(traps(SYS_getpid, {}, kGate + ck::abi::kGateBytes));
  BOOST_TEST(traps(SYS_getpid, {}, kGate & 0xffffffff));
  BOOST_TEST(!traps(SYS_fcntl, {3, F_GETLK}, kGate + 9));
  BOOST_TEST(traps(ck::abi::kComeBack, {}, kGate + 9));
}

BOOST_FIXTURE_TEST_CASE(arguments_decide, Filter) {
  BOOST_TEST(!traps(SYS_prlimit64, {0, 3}));
  BOOST_TEST(traps(SYS_prlimit64, {77, 3}));
  BOOST_TEST(!traps(SYS_getpriority, {0, 0}));
  BOOST_TEST(traps(SYS_getpriority, {0, 77}));
  BOOST_TEST(!traps(SYS_fcntl, {3, F_GETFL}));
  for (std::uint64_t command : {F_SETOWN, F_GETOWN, F_GETLK, F_OFD_GETLK})
    BOOST_TEST(traps(SYS_fcntl, {3, command}));
  BOOST_TEST(!traps(SYS_clock_gettime, {1}));
  BOOST_TEST(traps(SYS_clock_gettime, {0xfffffff2}));
  BOOST_TEST(!traps(SYS_ppoll, {0, 0, 0, 0}));
  BOOST_TEST(traps(SYS_ppoll, {0, 0, 0, std::uint64_t{1} << 32}));
  BOOST_TEST(traps(SYS_ppoll, {0, 0, 0, 8}));
  BOOST_TEST(!traps(SYS_futex, {8, FUTEX_WAIT | FUTEX_PRIVATE_FLAG}));
  BOOST_TEST(traps(SYS_futex, {8, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG}));
  BOOST_TEST(!traps(SYS_getsockopt, {3, SOL_SOCKET, SO_ERROR}));
  BOOST_TEST(!traps(SYS_getsockopt, {3, 6, SO_PEERCRED}));
  BOOST_TEST(traps(SYS_getsockopt, {3, SOL_SOCKET, SO_PEERCRED}));
}

BOOST_AUTO_TEST_CASE(system_v) {
  const Filter without, with(true);
  for (long number : {SYS_shmget, SYS_shmat, SYS_semget, SYS_semop, SYS_semtimedop, SYS_msgget,
                      SYS_msgsnd, SYS_msgrcv}) {
    BOOST_TEST(!without.traps(number));
    BOOST_TEST(with.traps(number));
    BOOST_TEST(!with.traps(number, {}, kGate));
  }
  for (long number : {SYS_shmctl, SYS_msgctl}) {
    BOOST_TEST(without.traps(number, {1, IPC_STAT}));
    BOOST_TEST(!without.traps(number, {1, IPC_SET}));
    BOOST_TEST(with.traps(number, {1, IPC_SET}));
  }
  BOOST_TEST(!without.traps(SYS_semctl, {1, 0, SETVAL}));
  BOOST_TEST(with.traps(SYS_semctl, {1, 0, SETVAL}));
  BOOST_TEST(!with.traps(SYS_shmdt));
  BOOST_TEST(with.traps(SYS_getpid));
}

BOOST_FIXTURE_TEST_CASE(other_machines_pass, Filter) {
  BOOST_TEST(!traps(20, {}, kElsewhere, AUDIT_ARCH_I386));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
