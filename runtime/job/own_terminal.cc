#include "runtime/job/own_terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "runtime/job/host.h"
#include "runtime/job/keeper.h"
#include "runtime/job/keeper_wire.h"
#include "runtime/job/local_terminal.h"
#include "runtime/job/user_terminal.h"

namespace ck::job {
namespace {

constexpr terminal::Window kUsualWindow{24, 80, 0, 0};

struct Made {
  UniqueFd listening, master, slave;
};

// With the number that it had, if nobody has it here: programs rarely mind.
Result<UniqueFd> open_master(std::optional<unsigned> number) {
  if (number) {
    auto same = CK_TRY(terminal::open_master(*number));
    if (same) return std::move(*same);
  }
  return terminal::open_master();
}

// This process leads a session without a terminal, and takes the new one.
Result<Made> make_terminal(const OwnTerminalPlan& plan, const UserTerminal& user) {
  Made made;
  made.listening = CK_TRY(
      keeper::listen(keeper::socket_name(CK_TRY(this_host()).pid_namespace, RealPid(::getpid()))));
  made.master = CK_TRY(open_master(plan.number));
  const std::optional<terminal::Modes>& modes = user ? user.modes() : plan.modes;
  if (modes) CK_TRY(terminal::set_modes(made.master.get(), *modes));
  CK_TRY(terminal::set_window(made.master.get(),
                              user.window().value_or(plan.window.value_or(kUsualWindow))));
  made.slave = CK_TRY(terminal::open_slave(made.master.get(), O_RDWR));
  if (::ioctl(made.slave.get(), TIOCSCTTY, 0) != 0) return sys_error("take the job's terminal");
  return made;
}

void leave_streams() {
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd : {0, 1, 2}) ::dup2(null.get(), fd);
}

[[noreturn]] void fail(UniqueFd client, const Error& error) {
  (void)keeper::send(client.get(), keeper::Type::kEnded, exit_code(error.kind), error.text());
  ::_exit(exit_code(error.kind));
}

Result<int> become_supervisor(const sigset_t& signals,
                              const std::function<Result<int>(RealPid)>& supervise) {
  ::setpgid(0, 0);
  ::sigprocmask(SIG_SETMASK, &signals, nullptr);
  return supervise(RealPid(::getppid()));
}

// Returns in the supervisor alone.
Result<int> become_keeper(const OwnTerminalPlan& plan, const UserTerminal& user, UniqueFd client,
                          const std::function<Result<int>(RealPid)>& supervise) {
  sigset_t all, before;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  ::setsid();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  Result<Made> made = make_terminal(plan, user);
  if (!made.ok()) fail(std::move(client), made.error());
  const pid_t supervisor = ::fork();
  if (supervisor < 0) fail(std::move(client), sys_error("fork"));
  if (supervisor == 0) {
    *made = Made();
    client.reset();
    return become_supervisor(before, supervise);
  }
  ::prctl(PR_SET_NAME, "ckrun-keeper");
  leave_streams();
  UniqueFd(plan.for_supervisor).reset();
  made->slave.reset();
  keeper::run({std::move(made->listening), std::move(client), std::move(made->master), supervisor});
}

}  // namespace

Result<int> on_own_terminal(const OwnTerminalPlan& plan,
                            const std::function<Result<int>(RealPid keeper)>& supervise) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return sys_error("socketpair");
  UniqueFd ours(ends[0]), theirs(ends[1]);
  const UserTerminal user = UserTerminal::find();
  std::fflush(nullptr);
  const pid_t keeper = ::fork();
  if (keeper < 0) return sys_error("fork");
  if (keeper == 0) {
    ours.reset();
    return become_keeper(plan, user, std::move(theirs), supervise);
  }
  theirs.reset();
  UniqueFd(plan.for_supervisor).reset();
  if (plan.serve) return CK_TRY(plan.serve(std::move(ours), RealPid(keeper))).status;
  ClientOptions client;
  client.tool = plan.tool;
  client.job = std::make_unique<LocalTerminal>(std::move(ours));
  client.redraw = plan.redraw;
  client.how = plan.how;
  client.end_of_input = plan.end_of_input;
  client.elsewhere = plan.elsewhere;
  const ClientOutcome outcome = CK_TRY(run_terminal_client(std::move(client)));
  if (outcome.ended) ::waitpid(keeper, nullptr, 0);
  return outcome.status;
}

}  // namespace ck::job
