#include "runtime/job/adopt_job.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "runtime/job/find_job.h"
#include "runtime/job/run_parts.h"
#include "runtime/job/signals.h"
#include "runtime/job/small_file.h"
#include "runtime/process/adopted_process.h"

namespace ck::job {
namespace {

constexpr int kReadyFd = 3;
constexpr char kLogName[] = "supervisor.log";

// Yama (Documentation/admin-guide/LSM/Yama.rst) lets only ancestors trace, and the capable. Of a
// user namespace that a restart has made, this user has every capability.
Status check_may_trace(const JobDir& job, RealPid root) {
  Result<std::string> text = read_small_file("/proc/sys/kernel/yama/ptrace_scope");
  int scope = text.ok() ? std::atoi(text->c_str()) : 0;
  struct stat ours, theirs;
  bool in_own_namespace = stat("/proc/self/ns/user", &ours) == 0 &&
                          stat(("/proc/" + to_string(root) + "/ns/user").c_str(), &theirs) == 0 &&
                          ours.st_ino != theirs.st_ino;
  if (scope == 0 || (scope < 3 && (geteuid() == 0 || in_own_namespace))) return {};
  return make_error(ErrorKind::kPermission,
                    "the supervisor of job " + job.info().name + " has died, and kernel.yama." +
                        "ptrace_scope " + std::to_string(scope) +
                        " lets nobody else checkpoint its process " + to_string(root),
                    "the program runs on; an administrator can set ptrace_scope to 0");
}

// From ckpt's terminal, session and descriptors; what is said from now on goes to a file.
Status detach(const JobDir& job, int ready) {
  setsid();
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  UniqueFd log(open(job.file(kLogName).c_str(),
                    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600));
  if (!null || !log) return sys_error("open " + job.file(kLogName));
  if (dup2(null.get(), 0) < 0 || dup2(log.get(), 1) < 0 || dup2(log.get(), 2) < 0 ||
      (ready != kReadyFd && dup3(ready, kReadyFd, O_CLOEXEC) < 0) || chdir("/") != 0) {
    return sys_error("detach the supervisor from the terminal");
  }
  (void)null.release();
  (void)log.release();
  syscall(SYS_close_range, kReadyFd + 1, ~0u, 0);
  prctl(PR_SET_NAME, "ckrun");
  return {};
}

void report(const wire::Reply& reply) {
  std::string text = reply.SerializeAsString();
  (void)!write(kReadyFd, text.data(), text.size());
  close(kReadyFd);
}

Result<int> supervise_orphan(const JobDir& job, bool* ready) {
  CK_TRY(block_supervised_signals());
  CK_TRY(become_subreaper());
  UniqueFd control_socket = CK_TRY(open_own_control_socket());
  Ownership ownership = CK_TRY(Ownership::adopt(job));
  const Incarnation& mine = ownership.incarnation();
  auto root = CK_TRY(process::AdoptedProcess::watch(mine.root, mine.root_start));
  ControlArea area = CK_TRY(ControlArea::adopt(mine.area));
  // Requests of the time when nobody listened are forgotten.
  std::atomic_ref(area.header()->requests).store(0);
  Settings settings = job.info().settings;
  settings.request_signal = area.header()->request_signal;
  std::optional<KeeperLink> terminal;
  if (mine.keeper) terminal = CK_TRY(KeeperLink::connect(mine.keeper, job.info().name));
  report({});
  *ready = true;
  Result<int> status = run_supervisor("ckrun", job, ownership, *root, std::move(control_socket),
                                      area, settings, {}, terminal ? &*terminal : nullptr);
  if (terminal) terminal->say(keeper::Type::kEnded, status.ok() ? *status : 0);
  return status;
}

[[noreturn]] void become_supervisor(const JobDir& job, int ready_fd) {
  bool ready = false;
  Status detached = detach(job, ready_fd);
  if (!detached.ok()) _exit(exit_code(detached.error().kind));
  Result<int> status = supervise_orphan(job, &ready);
  if (!status.ok() && !ready) report(failure_reply(status.error()));
  _exit(status.ok() ? *status : exit_code(status.error().kind));
}

// Until it serves, or has said why it cannot.
Status start_supervisor(const JobDir& job) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return sys_error("pipe");
  UniqueFd reader(ends[0]), writer(ends[1]);
  pid_t pid = fork();
  if (pid < 0) return sys_error("fork");
  if (pid == 0) become_supervisor(job, writer.get());
  writer.reset();
  std::string text;
  char buffer[4096];
  ssize_t count;
  while ((count = read(reader.get(), buffer, sizeof buffer)) > 0) {
    text.append(buffer, static_cast<std::size_t>(count));
  }
  wire::Reply reply;
  if (reply.ParseFromString(text) && reply.has_error()) return error_of(reply.error());
  return {};
}

}  // namespace

Result<ControlClient> find_or_start_supervisor(const std::string& target,
                                               const std::string& jobs_folder) {
  Result<ControlClient> found = find_supervisor(target, jobs_folder);
  if (found.ok() || found.error().kind != ErrorKind::kNotFound) return found;
  std::optional<JobDir> orphan = CK_TRY(find_orphan(target, jobs_folder));
  if (!orphan) return found;
  std::optional<Incarnation> last = CK_TRY(orphan->incarnation());
  if (last) CK_TRY(check_may_trace(*orphan, last->root));
  Status started = start_supervisor(*orphan);
  // Another ckpt may have been faster.
  Result<ControlClient> client = find_supervisor(*orphan);
  if (!client.ok() && !started.ok()) return std::move(started).error();
  return client;
}

}  // namespace ck::job
