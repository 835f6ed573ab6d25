#include "runtime/process/launch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "runtime/abi/sigaction.h"
#include "runtime/process/child_process.h"

namespace ck::process {

namespace {

std::vector<std::string> with_agent(const LaunchOptions& options, const ControlArea& area) {
  const std::string preload = "LD_PRELOAD=";
  const std::string area_variable = std::string(abi::kAreaVariable) + "=";
  std::string preload_entry = preload + area.header()->agent;
  std::vector<std::string> result;
  for (const std::string& entry : options.environment) {
    if (entry.starts_with(area_variable)) continue;
    if (!entry.starts_with(preload)) {
      result.push_back(entry);
    } else if (entry.size() > preload.size() &&
               entry.find(area.header()->agent) == std::string::npos) {
      preload_entry += ":" + entry.substr(preload.size());
    }
  }
  result.push_back(preload_entry);
  result.push_back(area_variable + area.path());
  return result;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// SIGTTOU is blocked.
void take_terminal(int terminal) {
  ::setpgid(0, 0);
  ::tcsetpgrp(terminal, ::getpgrp());
  const bool error_too = ::isatty(2) != 0;
  ::dup2(terminal, 0);
  ::dup2(terminal, 1);
  if (error_too) ::dup2(terminal, 2);
}

// In the child of a process that may have threads: system calls only.
[[noreturn]] void become_program(const char* path, char* const* argv, char* const* envp,
                                 const SignalState& signals, int terminal, int error_pipe) {
  if (terminal >= 0) take_terminal(terminal);
  signals.apply();
  ::execve(path, argv, envp);
  const int failure = errno;
  (void)!::write(error_pipe, &failure, sizeof failure);
  ::_exit(127);
}

}  // namespace

void SignalState::apply() const {
  for (int number = 1; number <= abi::kLastSignal; ++number) {
    abi::KernelSigaction action{};
    action.handler = (ignored >> (number - 1)) & 1;
    ::syscall(SYS_rt_sigaction, number, &action, nullptr, sizeof action.mask);
  }
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, nullptr, sizeof blocked);
}

SignalState SignalState::current() {
  SignalState state;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, nullptr, &state.blocked, sizeof state.blocked);
  for (int number = 1; number <= abi::kLastSignal; ++number) {
    abi::KernelSigaction action{};
    ::syscall(SYS_rt_sigaction, number, nullptr, &action, sizeof action.mask);
    if (action.handler == 1) state.ignored |= std::uint64_t{1} << (number - 1);
  }
  return state;
}

Result<std::unique_ptr<RootProcess>> ChildProcess::watch(RealPid pid) {
  auto child = std::make_unique<ChildProcess>();
  child->pid_ = pid;
  child->pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid.value, 0)));
  if (!child->pidfd_) return sys_error("pidfd_open " + to_string(pid));
  return std::unique_ptr<RootProcess>(std::move(child));
}

// Not on behalf of other threads: the engine's thread traces the same process.
Result<int> ChildProcess::take_exit_status() {
  int status = 0;
  if (::waitpid(pid_.value, &status, __WALL | __WNOTHREAD) != pid_.value)
    return sys_error("wait for process " + to_string(pid_));
  return status;
}

Result<std::unique_ptr<RootProcess>> launch(const LaunchOptions& options, const ControlArea& area) {
  std::string path_variable = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& entry : options.environment)
    if (entry.starts_with("PATH=")) path_variable = entry.substr(5);
  const std::string path = CK_TRY(preflight(options.command.at(0), path_variable));
  const std::vector<std::string> environment = with_agent(options, area);
  const std::vector<char*> argv = pointers(options.command);
  const std::vector<char*> envp = pointers(environment);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return sys_error("pipe");
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error("fork");
  if (pid == 0)
    become_program(path.c_str(), argv.data(), envp.data(), options.signals, options.terminal,
                   writer.get());
  if (options.terminal >= 0) ::setpgid(pid, pid);
  writer.reset();

  int failure = 0;
  if (::read(reader.get(), &failure, sizeof failure) == sizeof failure) {
    ::waitpid(pid, nullptr, 0);
    return sys_error("execute " + path, failure);
  }
  return ChildProcess::watch(RealPid(pid));
}

}  // namespace ck::process
