#include "runtime/restore/stop_process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <thread>

#include "runtime/proc/stat.h"
#include "runtime/restore/restore_process.h"

namespace ck::restore {

using proc::Mailbox;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kStopTime{10};
constexpr std::chrono::microseconds kBetweenLooks{50};

// As which signal the parent hears of it. One that the program handles never stopped it.
int stop_signal(const image::ProcessRecord& process) {
  if (!WIFSTOPPED(process.unreported())) return SIGSTOP;
  const int number = WSTOPSIG(process.unreported());
  const bool handled = std::any_of(process.signal_actions().begin(), process.signal_actions().end(),
                                   [&](const auto& action) { return action.number() == number; });
  return handled ? SIGSTOP : number;
}

Status signal_itself(Mailbox& leader, const image::ProcessRecord& process, int number) {
  leader.clear();
  const Mailbox::Address set = leader.put_value<std::uint64_t>(std::uint64_t{1} << (number - 1));
  const Mailbox::Address all = leader.put_value(~std::uint64_t{0});
  leader.add(SYS_rt_sigprocmask, SIG_UNBLOCK, set, 0, 8);
  leader.add(SYS_kill, leader.area().real_id(process.pid()), number);
  leader.add(SYS_rt_sigprocmask, SIG_SETMASK, all, 0, 8);
  CK_TRY(leader.run());
  return leader.expect_all("stop");
}

}  // namespace

Status stop_again(Mailbox& leader, capture::HeldThreads& held,
                  const image::ProcessRecord& process) {
  // A process group that has lost its shell does not stop for a terminal's signals.
  for (int number : {stop_signal(process), SIGSTOP}) {
    CK_TRY(signal_itself(leader, process, number));
    if (CK_TRY(held.stop(steady_clock::now() + kStopTime))) return {};
    CK_TRY(held.resume());
  }
  return make_error(ErrorKind::kBug, "a process must stop");
}

bool continues_unheard(const image::ProcessRecord& process) {
  return WIFCONTINUED(process.unreported());
}

Status continue_again(Mailbox& leader, const image::ProcessRecord& process,
                      const abi::AgentPage* page) {
  const auto deadline = steady_clock::now() + kStopTime;
  ::kill(leader.pid().value, SIGSTOP);
  while (CK_TRY(proc::read_stat(leader.pid())).state != 'T') {
    if (steady_clock::now() >= deadline)
      return make_error(ErrorKind::kTryAgain,
                        "process " + to_string(leader.pid()) + " does not stop");
    std::this_thread::sleep_for(kBetweenLooks);
  }
  ::kill(leader.pid().value, SIGCONT);
  return discard_pending(leader, process, {SIGCONT}, page);
}

Status hear_of_stop(Mailbox& parent, const image::ProcessRecord& child) {
  parent.clear();
  CK_TRY(parent.call("hear of a child's stop", SYS_waitid, P_PID,
                     parent.area().real_id(child.pid()), 0, WSTOPPED | WNOHANG | __WALL, 0));
  return {};
}

}  // namespace ck::restore
