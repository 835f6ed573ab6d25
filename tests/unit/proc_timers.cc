#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <ctime>
#include <limits>

#include "runtime/base/timespec.h"
#include "runtime/proc/posix_timers.h"
#include "runtime/proc/sched.h"
#include "tests/unit/child.h"

namespace {

using namespace ck;
using namespace ck::proc;
using ck::test::Child;

BOOST_AUTO_TEST_SUITE(timers)

BOOST_AUTO_TEST_CASE(posix_timers_of_a_child) {
  Child child([] {
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN + 3;
    event.sigev_value.sival_ptr = reinterpret_cast<void*>(0x1234abcd5678);
    timer_t timer;
    BOOST_REQUIRE(::timer_create(CLOCK_REALTIME, &event, &timer) == 0);
    event.sigev_notify = SIGEV_THREAD_ID;
    event._sigev_un._tid = ::gettid();
    BOOST_REQUIRE(::timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    event.sigev_notify = SIGEV_NONE;
    BOOST_REQUIRE(::timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  });
  auto found = read_posix_timers(child.pid()).value();
  BOOST_REQUIRE(found.size() == 3u);
  std::sort(found.begin(), found.end(),
            [](const PosixTimer& a, const PosixTimer& b) { return a.id < b.id; });
  BOOST_TEST(found[0].id == 0);
  BOOST_TEST(found[0].notify == SIGEV_SIGNAL);
  BOOST_TEST(found[0].signal == SIGRTMIN + 3);
  BOOST_TEST(found[0].value == 0x1234abcd5678u);
  BOOST_TEST(found[0].clock == CLOCK_REALTIME);
  BOOST_TEST(found[1].notify == SIGEV_THREAD_ID);
  BOOST_TEST(found[1].target.value == child.pid().value);
  BOOST_TEST(found[1].clock == CLOCK_MONOTONIC);
  BOOST_TEST(found[2].notify == SIGEV_NONE);
}

BOOST_AUTO_TEST_CASE(scheduling_of_a_child) {
  Child child([] {
    ::setpriority(PRIO_PROCESS, 0, 5);
    sched_param param{};
    ::sched_setscheduler(0, SCHED_BATCH, &param);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    rlimit limit = {100, 200};
    ::setrlimit(RLIMIT_NOFILE, &limit);
  });
  Scheduling scheduling = read_scheduling(child.pid()).value();
  BOOST_TEST(scheduling.policy == unsigned(SCHED_BATCH));
  BOOST_TEST(scheduling.nice == 5);
  BOOST_REQUIRE(!scheduling.affinity.empty());
  BOOST_TEST(scheduling.affinity[0] == 1);
  auto limits = read_limits(child.pid()).value();
  BOOST_REQUIRE(limits.size() > std::size_t(RLIMIT_NOFILE));
  BOOST_TEST(limits[RLIMIT_NOFILE].soft == 100u);
  BOOST_TEST(limits[RLIMIT_NOFILE].hard == 200u);
}

BOOST_AUTO_TEST_CASE(times_as_one_number_and_back) {
  const timespec before_1970 = to_timespec(-1);
  BOOST_TEST(before_1970.tv_sec == -1);
  BOOST_TEST(before_1970.tv_nsec == 999'999'999);
  BOOST_TEST(to_nanoseconds(before_1970) == -1);
  BOOST_TEST(to_nanoseconds(to_timespec(1'500'000'001)) == 1'500'000'001);
  const timespec year_3000{32'503'680'000, 1};
  BOOST_TEST(to_nanoseconds(year_3000) == std::numeric_limits<std::int64_t>::max());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
