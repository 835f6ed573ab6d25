#include "driver/daemon/job_list.h"

#include <sys/stat.h>
#include <unistd.h>

#include "driver/daemon/child_output.h"
#include "driver/daemon/users.h"
#include "driver/protocol/check.h"
#include "driver/protocol/frame.h"
#include "runtime/base/timespec.h"
#include "runtime/image/generations.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/job_state.h"
#include "runtime/job/names.h"

namespace ck::daemon {
namespace {

using protocol::wire::JobList;
using protocol::wire::JobRecord;

constexpr milliseconds kPatience{10000};

// As much of it as a message may hold, in one line.
std::string one_line(const std::string& text, std::size_t longest) {
  std::string line = text.substr(0, longest);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return line;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (text.size() > protocol::kLongestCommand) break;
    text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

Status add_images(const job::JobDir& job, JobRecord& record) {
  auto generations = CK_TRY(image::list_generations(job.path()));
  record.set_images(static_cast<std::uint32_t>(generations.size()));
  struct stat info;
  if (!generations.empty() && stat(generations.back().path.c_str(), &info) == 0) {
    record.set_newest_unix_ns(to_nanoseconds(info.st_mtim));
    record.set_newest_bytes(static_cast<std::uint64_t>(info.st_size));
  }
  return {};
}

Status add_job(const std::string& path, JobList& list) {
  job::JobDir job = CK_TRY(job::JobDir::open(path));
  job::JobState state = CK_TRY(job::job_state(job));
  JobRecord record;
  record.set_id(one_line(job.info().id, 64));
  record.set_name(one_line(job.info().name, 64));
  record.set_state(one_line(job::state_text(state), 300));
  record.set_command(one_line(joined(job.info().command), protocol::kLongestCommand));
  record.set_job_class(one_line(job.info().settings.job_class, 64));
  if (state.kind == job::JobState::Kind::kRunning) {
    record.set_supervisor(state.incarnation->supervisor.value);
  }
  CK_TRY(add_images(job, record));
  *list.add_jobs() = std::move(record);
  return {};
}

// A job that is being removed or is damaged does not hide the others.
Result<JobList> read_jobs(const std::string& dir) {
  std::string folder = CK_TRY(job::jobs_folder(dir));
  JobList list;
  for (const std::string& name : CK_TRY(job::list_jobs(folder))) {
    if (list.jobs_size() == protocol::kMostJobs) {
      list.set_truncated(true);
      break;
    }
    (void)add_job(folder + "/" + name, list);
  }
  return list;
}

// In the child: a JobList, or the reason that there is none and an exit status that is not 0.
int write_jobs(int fd, const std::optional<User>& user, const std::string& dir) {
  Status became = user ? become(*user) : Status();
  Result<JobList> list = became.ok() ? read_jobs(user ? "" : dir) : Result<JobList>(became.error());
  if (!list.ok()) {
    write_all(fd, list.error().text());
    return 1;
  }
  return write_all(fd, list->SerializeAsString()) ? 0 : 1;
}

}  // namespace

Task<Result<JobList>> list_jobs(std::string user, std::string dir) {
  CK_CO_TRY(std::optional<User> other, user_to_become(user));
  auto work = [other, dir](int fd) { return write_jobs(fd, other, dir); };
  CK_CO_TRY(std::string bytes, co_await child_output(work, "listing the jobs of " + user,
                                                     protocol::kLongestMessage, kPatience));
  JobList list;
  if (!list.ParseFromString(bytes)) {
    co_return make_error(ErrorKind::kBug, "the list of jobs is damaged");
  }
  co_return list;
}

}  // namespace ck::daemon
