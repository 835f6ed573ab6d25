#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstring>

#include "runtime/proc/virtual_ids.h"
#include "tests/unit/child.h"

namespace {

using namespace ck;
using namespace ck::proc;

// Numbers above every pid of this machine: nobody's.
constexpr pid_t kFirst = 5'000'000, kSecond = 5'000'001, kThird = 5'000'002;

struct Table {
  ControlArea area = ControlArea::create("/dev/shm", "/agent", 1, 0).value();
  void bind(pid_t known_as, pid_t real) {
    BOOST_TEST((bind_id(area, known_as, RealPid(real)).value() == Bound::kNow));
  }
};

BOOST_AUTO_TEST_SUITE(virtual_ids)

BOOST_FIXTURE_TEST_CASE(off_means_the_same, Table) {
  BOOST_TEST(area.real_id(77) == 77);
  BOOST_TEST(area.virtual_id(-77) == -77);
}

BOOST_FIXTURE_TEST_CASE(both_directions, Table) {
  begin_virtual_ids(area);
  bind(kFirst, kSecond);
  BOOST_TEST(area.real_id(kFirst) == kSecond);
  BOOST_TEST(area.virtual_id(kSecond) == kFirst);
  BOOST_TEST(area.real_id(-kFirst) == -kSecond);  // a process group
  BOOST_TEST(area.virtual_id(-kSecond) == -kFirst);
  for (pid_t special : {0, -1, 1, 77}) {
    BOOST_TEST(area.real_id(special) == special);
    BOOST_TEST(area.virtual_id(special) == special);
  }
}

// Neither can be taken for the other.
BOOST_FIXTURE_TEST_CASE(numbers_that_are_taken, Table) {
  begin_virtual_ids(area);
  bind(kFirst, kSecond);
  BOOST_TEST(area.real_id(kSecond) == ck::abi::kNobody);  // nobody believes to be that
  BOOST_TEST(area.virtual_id(kFirst) == 0);               // somebody else
  bind(kSecond, kThird);
  BOOST_TEST(area.real_id(kSecond) == kThird);
  BOOST_TEST(area.virtual_id(kSecond) == kFirst);
}

BOOST_FIXTURE_TEST_CASE(the_first_one_holds, Table) {
  begin_virtual_ids(area);
  bind(kFirst, kSecond);
  BOOST_TEST((bind_id(area, kFirst, RealPid(kThird)).value() == Bound::kAlreadyBound));
  BOOST_TEST((bind_id(area, kThird, RealPid(kSecond)).value() == Bound::kAlreadyBound));
  BOOST_TEST((bind_id(area, 0, RealPid(kThird)).value() == Bound::kAlreadyBound));
  BOOST_TEST(area.real_id(kFirst) == kSecond);
}

BOOST_FIXTURE_TEST_CASE(there_is_an_end_of_room, Table) {
  begin_virtual_ids(area);
  Status failure;
  for (pid_t i = 0; i < static_cast<pid_t>(ck::abi::kIdSlots) && failure.ok(); ++i)
    if (auto bound = bind_id(area, kFirst + 2 * i, RealPid(kFirst + 2 * i + 1)); !bound.ok())
      failure = bound.error();
  BOOST_TEST(!failure.ok());
  BOOST_TEST((failure.error().kind == ErrorKind::kRefused));
  BOOST_TEST(area.header()->ids.keys <= ck::abi::kMaxIdKeys);
  BOOST_TEST(area.real_id(kFirst) == kFirst + 1);
  BOOST_TEST(area.real_id(77) == 77);
}

BOOST_FIXTURE_TEST_CASE(the_collected_are_forgotten, Table) {
  begin_virtual_ids(area);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  bind(kFirst, child);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  forget_id(*area.header(), child);
  BOOST_TEST(area.real_id(kFirst) == child);  // a zombie still has its number
  ::waitpid(child, nullptr, 0);
  forget_id(*area.header(), child);
  BOOST_TEST(area.real_id(kFirst) == kFirst);
  BOOST_TEST(area.virtual_id(child) == child);
}

BOOST_FIXTURE_TEST_CASE(spares_are_nobodys, Table) {
  begin_virtual_ids(area);
  bind(kFirst, ::getpid());
  BOOST_REQUIRE(add_spare_ids(area).ok());
  const ck::abi::IdTable& ids = area.header()->ids;
  BOOST_TEST(ids.spares > 0u);
  for (std::uint32_t i = 0; i < ids.spares; ++i) {
    BOOST_TEST(static_cast<pid_t>(ids.spare[i]) != ::getpid());
    BOOST_TEST(area.real_id(static_cast<pid_t>(ids.spare[i])) == static_cast<pid_t>(ids.spare[i]));
  }
}

// Of what a program has sent with sigqueue(3), the id is what it said.
BOOST_FIXTURE_TEST_CASE(ids_in_siginfo, Table) {
  begin_virtual_ids(area);
  bind(kFirst, kSecond);
  const auto seen = [this](int number, int code) {
    siginfo_t info{};
    info.si_signo = number;
    info.si_code = code;
    info.si_pid = kSecond;
    make_virtual(area, std::as_writable_bytes(std::span(&info, 1)));
    return info.si_pid;
  };
  BOOST_TEST(seen(SIGUSR1, SI_USER) == kFirst);
  BOOST_TEST(seen(SIGUSR1, SI_TKILL) == kFirst);
  BOOST_TEST(seen(SIGCHLD, CLD_EXITED) == kFirst);
  BOOST_TEST(seen(SIGUSR1, SI_QUEUE) == kSecond);
  BOOST_TEST(seen(SIGSEGV, SEGV_MAPERR) == kSecond);
}

BOOST_FIXTURE_TEST_CASE(system_v_objects, Table) {
  using ck::abi::SystemVFamily;
  constexpr int kHighest = 0x7fffffff;
  BOOST_TEST(area.real_id(SystemVFamily::kQueues, 5) == 5);
  begin_virtual_ids(area);
  BOOST_TEST(bind_system_v(area, SystemVFamily::kQueues, 0, kHighest, 0).ok());
  BOOST_TEST(bind_system_v(area, SystemVFamily::kQueues, 5, 0, 42).ok());
  BOOST_TEST(bind_system_v(area, SystemVFamily::kSegments, kHighest, 5, 0).ok());
  BOOST_TEST(area.real_id(SystemVFamily::kQueues, 0) == kHighest);
  BOOST_TEST(area.virtual_id(SystemVFamily::kQueues, kHighest) == 0);
  BOOST_TEST(area.real_id(SystemVFamily::kQueues, 5) == 0);
  BOOST_TEST(area.virtual_id(SystemVFamily::kQueues, 0) == 5);
  BOOST_TEST(area.real_id(SystemVFamily::kSegments, kHighest) == 5);
  for (int other : {-1, 1, 7}) BOOST_TEST(area.real_id(SystemVFamily::kSegments, other) == other);
  BOOST_TEST(area.real_id(SystemVFamily::kSemaphores, 5) == 5);
  BOOST_TEST(!bind_system_v(area, SystemVFamily::kQueues, -1, 8, 0).ok());
  Status last;
  for (std::uint32_t i = 3; i <= ck::abi::kMaxRestoredSystemV && last.ok(); ++i)
    last = bind_system_v(area, SystemVFamily::kQueues, 100 + static_cast<int>(i), 7, 0);
  BOOST_TEST((!last.ok() && last.error().kind == ErrorKind::kRefused));
  BOOST_TEST(area.header()->system_v.entries[ck::abi::kMaxRestoredSystemV].ids == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
