#include "driver/migrate/running_jobs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "runtime/base/timespec.h"
#include "runtime/job/find_job.h"
#include "runtime/job/host.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"

namespace ck::driver::migrate {
namespace {

constexpr std::size_t kMostProcesses = 100'000;
constexpr int kLooks = 5;
constexpr std::chrono::milliseconds kBetweenLooks{50};

bool is_ours(RealPid pid) {
  struct stat info {};
  return ::stat(("/proc/" + to_string(pid)).c_str(), &info) == 0 && info.st_uid == ::geteuid();
}

std::uint64_t resident(RealPid root) {
  std::uint64_t bytes = 0;
  for (const RealPid pid : tree_of(root)) {
    const Result<proc::ProcessStatus> status = proc::read_status(pid);
    if (status.ok()) bytes += status->vm_rss;
  }
  return bytes;
}

// The job's present life began when its incarnation was written.
std::int64_t arrived_unix_ms(const job::JobDir& job) {
  struct stat info {};
  if (::stat(job.file("incarnation").c_str(), &info) != 0) return 0;
  return to_nanoseconds(info.st_mtim) / 1'000'000;
}

struct Found {
  wire::RunningJob job;
  RealPid root;
};

Result<Found> look_at(std::uint64_t pid_namespace, RealPid supervisor) {
  job::ControlClient client = CK_TRY(job::ControlClient::connect(pid_namespace, supervisor));
  const job::wire::StatusReply status = CK_TRY(client.status());
  if (status.held()) return make_error(ErrorKind::kTryAgain, "job " + status.name() + " is held");
  const job::JobDir job = CK_TRY(job::JobDir::open(status.folder()));
  Found found{{}, RealPid(status.root())};
  found.job.set_id(status.id());
  found.job.set_name(status.name());
  found.job.set_jobs_folder(job.path().substr(0, job.path().rfind('/')));
  found.job.set_job_class(job.info().settings.job_class);
  found.job.set_memory_bytes(resident(found.root));
  found.job.set_arrived_unix_ms(arrived_unix_ms(job));
  found.job.set_suspended_by(status.suspended_by());
  return found;
}

}  // namespace

std::vector<RealPid> tree_of(RealPid root) {
  std::vector<RealPid> tree{root};
  for (std::size_t i = 0; i < tree.size() && tree.size() < kMostProcesses; ++i) {
    const Result<std::vector<RealPid>> children = proc::read_children(tree[i]);
    if (children.ok()) tree.insert(tree.end(), children->begin(), children->end());
  }
  return tree;
}

double tasks_now(RealPid root) {
  double tasks = 0;
  for (const RealPid pid : tree_of(root)) {
    const Result<std::vector<RealPid>> threads = proc::read_threads(pid);
    if (!threads.ok()) continue;
    for (const RealPid thread : *threads) {
      const Result<proc::ProcessStat> stat = proc::read_stat(thread);
      if (stat.ok() && (stat->state == 'R' || stat->state == 'D')) tasks += 1;
    }
  }
  return tasks;
}

// A job that has just ended, or is just changing, is none.
Result<wire::Result> running_jobs() {
  const std::uint64_t pid_namespace = CK_TRY(job::this_host()).pid_namespace;
  std::vector<Found> jobs;
  for (const RealPid supervisor : CK_TRY(job::list_supervisors())) {
    if (!is_ours(supervisor)) continue;
    Result<Found> found = look_at(pid_namespace, supervisor);
    if (found.ok()) jobs.push_back(*std::move(found));
  }
  for (int look = 0; look < kLooks && !jobs.empty(); ++look) {
    if (look > 0) std::this_thread::sleep_for(kBetweenLooks);
    for (Found& found : jobs)
      found.job.set_tasks(found.job.tasks() + tasks_now(found.root) / kLooks);
  }
  wire::Result result;
  for (Found& found : jobs) *result.add_jobs() = std::move(found.job);
  return result;
}

}  // namespace ck::driver::migrate
