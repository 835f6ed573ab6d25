#include "runtime/job/orphans.h"

#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "runtime/job/small_file.h"

namespace ck::job {

std::set<pid_t> children_of_this_thread() {
  std::set<pid_t> children;
  auto text = read_small_file("/proc/self/task/" + std::to_string(gettid()) + "/children");
  if (!text.ok()) return children;
  std::istringstream pids(*text);
  for (pid_t pid; pids >> pid;) children.insert(pid);
  return children;
}

void reap_orphans(const std::set<pid_t>& spared, const std::function<void(pid_t)>& reaped) {
  for (pid_t pid : children_of_this_thread()) {
    if (!spared.contains(pid) && waitpid(pid, nullptr, WNOHANG | __WNOTHREAD) == pid) reaped(pid);
  }
}

// WNOWAIT: the engine's thread traces the same child, and the kernel would hand us the stops that
// it waits for (kernel/exit.c, wait_consider_task: a child traced by its real parent's group).
int stop_signal_of(pid_t child) {
  siginfo_t info{};
  const int what = WSTOPPED | WNOHANG | WNOWAIT | __WNOTHREAD;
  if (waitid(P_PID, static_cast<id_t>(child), &info, what) != 0) return 0;
  if (info.si_pid != child || info.si_code != CLD_STOPPED) return 0;
  return info.si_status;
}

}  // namespace ck::job
