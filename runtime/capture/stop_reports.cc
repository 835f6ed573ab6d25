#include "runtime/capture/stop_reports.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace ck::capture {

namespace {

constexpr int kContinued = 0xffff;  // wait status, WIFCONTINUED

int wait_status(const siginfo_t& info) {
  if (info.si_pid == 0) return 0;
  return info.si_code == CLD_CONTINUED ? kContinued : W_STOPCODE(info.si_status);
}

Status ask(proc::Mailbox& parent, pid_t pid, image::ProcessRecord& child) {
  parent.clear();
  const proc::Mailbox::Address info = parent.reserve(sizeof(siginfo_t));
  CK_TRY(parent.call("ask whether a child has stopped", SYS_waitid, P_PID, pid, info,
                     WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT | __WALL, 0));
  const int status = wait_status(parent.value_at<siginfo_t>(info));
  if (status != 0) child.set_unreported(status);
  return {};
}

}  // namespace

Status capture_stop_reports(FrozenJob& job, image::Manifest& manifest) {
  for (std::size_t i = 0; i < job.processes.size(); ++i) {
    for (const auto& parent : job.processes) {
      if (parent->pid != job.processes[i]->status.ppid) continue;
      proc::Mailbox box = parent->mailbox();
      CK_TRY(
          ask(box, job.processes[i]->inner_pid, *manifest.mutable_processes(static_cast<int>(i))));
    }
  }
  return {};
}

}  // namespace ck::capture
