#include "runtime/job/interrupt_guard.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace ck::job {
namespace {

sigset_t interrupting_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set, number);
  return set;
}

[[noreturn]] void die_of(int number) {
  signal(number, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  kill(getpid(), number);
  _exit(128 + number);
}

}  // namespace

Result<std::unique_ptr<InterruptGuard>> InterruptGuard::start(std::function<void()> last_act) {
  auto guard = std::make_unique<InterruptGuard>();
  sigset_t set = interrupting_signals();
  guard->signals_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  guard->quit_.reset(eventfd(0, EFD_CLOEXEC));
  if (!guard->signals_ || !guard->quit_) return sys_error("watch for interrupts");
  guard->last_act_ = std::move(last_act);
  guard->thread_ = std::thread([raw = guard.get()] { raw->thread_main(); });
  return guard;
}

InterruptGuard::~InterruptGuard() {
  if (!thread_.joinable()) return;
  eventfd_write(quit_.get(), 1);
  thread_.join();
}

void InterruptGuard::thread_main() {
  for (;;) {
    pollfd fds[2] = {{quit_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) return;
    signalfd_siginfo info;
    if (read(signals_.get(), &info, sizeof info) != sizeof info) continue;
    last_act_();
    die_of(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace ck::job
