#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <thread>

#include "runtime/proc/stat.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"
#include "tests/unit/child.h"

namespace {

using namespace ck;
using namespace ck::proc;

const RealPid kSelf(::getpid());

BOOST_AUTO_TEST_SUITE(status)

BOOST_AUTO_TEST_CASE(own_status) {
  ::umask(027);
  ProcessStatus status = read_status(kSelf).value();
  BOOST_TEST(status.pid.value == ::getpid());
  BOOST_TEST(status.tgid.value == ::getpid());
  BOOST_TEST(status.ppid.value == ::getppid());
  BOOST_TEST(status.umask == 027u);
  BOOST_TEST(status.uids[1] == ::geteuid());
  BOOST_TEST(status.gids[0] == ::getgid());
  BOOST_TEST(status.ns_pid.back() == ::getpid());
  BOOST_TEST(status.threads == 1u);
  BOOST_TEST(status.vm_rss > 0u);
  BOOST_TEST(status.tracer.value == 0);
}

BOOST_AUTO_TEST_CASE(signal_masks) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::kill(::getpid(), SIGUSR1);
  ProcessStatus status = read_status(kSelf).value();
  BOOST_TEST((status.blocked & (1ull << (SIGUSR1 - 1))));
  BOOST_TEST((status.blocked & (1ull << (SIGRTMIN - 1))));
  BOOST_TEST((status.shared_pending & (1ull << (SIGUSR1 - 1))));
  timespec now{};
  ::sigtimedwait(&set, nullptr, &now);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

BOOST_AUTO_TEST_CASE(names_that_are_hard) {
  for (const char* name : {"a) R 1 (b", "x\ny", "back\\n", " ", "((("}) {
    ::prctl(PR_SET_NAME, name);
    BOOST_TEST(read_status(kSelf).value().name == name);
    ProcessStat stat = read_stat(kSelf).value();
    BOOST_TEST(stat.name == name);
    BOOST_TEST(stat.ppid.value == ::getppid());
  }
  ::prctl(PR_SET_NAME, "unit_proc");
}

BOOST_AUTO_TEST_CASE(own_stat) {
  ProcessStat stat = read_stat(kSelf).value();
  BOOST_TEST(stat.state == 'R');
  BOOST_TEST(stat.pgrp.value == ::getpgrp());
  BOOST_TEST(stat.session.value == ::getsid(0));
  BOOST_TEST(stat.exit_signal == SIGCHLD);
  auto local = reinterpret_cast<std::uint64_t>(&stat);
  BOOST_TEST(stat.start_stack > local);
  BOOST_TEST(stat.start_stack - local < 1u << 20);
  BOOST_TEST(stat.arg_start < stat.arg_end);
  BOOST_TEST(stat.arg_end <= stat.env_start);
  auto code = reinterpret_cast<std::uint64_t>(&read_stat);
  BOOST_TEST(stat.start_code < code);
  BOOST_TEST(code < stat.end_code);
  BOOST_TEST(stat.start_brk >= stat.end_data);
}

BOOST_AUTO_TEST_CASE(exit_code_of_a_zombie) {
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(7);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  ProcessStat stat = read_stat(RealPid(pid)).value();
  BOOST_TEST(stat.state == 'Z');
  BOOST_TEST(stat.exit_code == 7 << 8);
  ::waitpid(pid, nullptr, 0);
  auto gone = read_stat(RealPid(pid));
  BOOST_TEST(!gone.ok());
  BOOST_CHECK(gone.error().kind == ErrorKind::kNotFound);
}

BOOST_AUTO_TEST_CASE(threads_and_children) {
  ck::test::Child first, second;
  auto children = read_children(kSelf).value();
  BOOST_TEST(children.size() == 2u);
  BOOST_TEST((std::count(children.begin(), children.end(), second.pid()) == 1));
  std::jthread other([](std::stop_token stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  auto threads = read_threads(kSelf).value();
  BOOST_TEST(threads.size() == 2u);
  BOOST_TEST((std::count(threads.begin(), threads.end(), kSelf) == 1));
  for (RealPid thread : threads)  // either may have the lower number: pids wrap around
    BOOST_TEST(read_status(thread).value().tgid.value == ::getpid());
}

BOOST_AUTO_TEST_CASE(broken_text_is_an_error) {
  BOOST_TEST(!parse_stat("12 (x").ok());
  BOOST_TEST(!parse_stat("12 (x) S 1 2").ok());
  BOOST_TEST(!parse_status("Uid:\tx\n").ok());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
