#include "runtime/proc/tasks.h"

#include <algorithm>
#include <csignal>

#include "runtime/proc/proc_file.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/status.h"
#include "runtime/proc/text_cursor.h"

namespace ck::proc {

namespace {

constexpr std::uint32_t kWorkerFlag = 0x10;  // PF_IO_WORKER, since Linux 5.12

}  // namespace

Result<std::vector<RealPid>> read_threads(RealPid pid) {
  std::vector<RealPid> threads;
  for (int tid : CK_TRY(list_proc_numbers(pid, "task"))) threads.emplace_back(tid);
  return threads;
}

Result<std::vector<RealPid>> read_program_threads(RealPid pid) {
  std::vector<RealPid> threads = CK_TRY(read_threads(pid));
  std::erase_if(threads, [pid](RealPid tid) { return is_kernels_own(pid, tid); });
  return threads;
}

// A program may call a thread of its own so: the name only tells where to look.
bool is_kernels_own(RealPid pid, RealPid tid) {
  if (tid == pid) return false;
  const Result<std::string> name = read_proc(pid, "task/" + to_string(tid) + "/comm");
  if (!name.ok() || !name->starts_with("iou-")) return false;
  const Result<ProcessStat> stat = read_stat(tid);
  return stat.ok() && (stat->flags & kWorkerFlag) != 0;
}

Result<std::vector<RealPid>> read_children_of_thread(RealPid pid, RealPid tid) {
  std::vector<RealPid> children;
  Result<std::string> text = read_proc(pid, "task/" + to_string(tid) + "/children");
  if (!text.ok()) {
    if (text.error().errnum == ENOENT || text.error().errnum == ESRCH)
      return children;  // has ended
    return std::move(text).error();
  }
  TextCursor cursor(*text);
  for (cursor.blanks(); !cursor.at_end() && !cursor.failed(); cursor.blanks())
    children.emplace_back(cursor.number<pid_t>());
  return children;
}

Result<std::vector<RealPid>> read_children(RealPid pid) {
  std::vector<RealPid> children;
  for (RealPid tid : CK_TRY(read_threads(pid))) {
    const std::vector<RealPid> own = CK_TRY(read_children_of_thread(pid, tid));
    children.insert(children.end(), own.begin(), own.end());
  }
  return children;
}

bool is_alive(RealPid task) {
  const Result<ProcessStat> stat = read_stat(task);
  return stat.ok() && stat->state != 'Z' && stat->state != 'X';
}

bool is_ending(RealPid task) {
  constexpr std::uint32_t kExiting = 0x4;  // PF_EXITING (kernel: include/linux/sched.h)
  constexpr std::uint64_t kKilled = std::uint64_t{1} << (SIGKILL - 1);
  const Result<ProcessStat> stat = read_stat(task);
  if (!stat.ok() || (stat->flags & kExiting) != 0) return true;
  const Result<ProcessStatus> status = read_status(task);
  return !status.ok() || ((status->pending | status->shared_pending) & kKilled) != 0;
}

bool any_thread_alive(RealPid pid) {
  const Result<std::vector<RealPid>> threads = read_threads(pid);
  return threads.ok() && std::any_of(threads->begin(), threads->end(), is_alive);
}

bool all_ending(RealPid pid) {
  const Result<std::vector<RealPid>> threads = read_threads(pid);
  return !threads.ok() || std::all_of(threads->begin(), threads->end(), is_ending);
}

// The newest stand last in the kernel's list, and they are mostly who is looked for.
RealPid find_child(RealPid parent, pid_t innermost) {
  const Result<std::vector<RealPid>> children = read_children(parent);
  if (!children.ok()) return RealPid();
  for (auto child = children->rbegin(); child != children->rend(); ++child) {
    const Result<ProcessStatus> status = read_status(*child);
    if (status.ok() && !status->ns_pid.empty() && status->ns_pid.back() == innermost) return *child;
  }
  return RealPid();
}

}  // namespace ck::proc
