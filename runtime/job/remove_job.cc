#include "runtime/job/remove_job.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "runtime/job/held_mark.h"
#include "runtime/job/ownership.h"
#include "runtime/job/small_file.h"

namespace ck::job {
namespace {

constexpr std::string_view kRemovedPrefix = ".removed-";

Result<std::vector<std::string>> names_in(const std::string& folder) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), closedir);
  if (!dir) return sys_error("open folder " + folder);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  return names;
}

Status delete_flat_folder(const std::string& folder) {
  for (const std::string& name : CK_TRY(names_in(folder))) {
    std::string path = folder + "/" + name;
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return sys_error("delete " + path);
  }
  if (rmdir(folder.c_str()) != 0 && errno != ENOENT) return sys_error("delete folder " + folder);
  return {};
}

void clear_leftovers(const std::string& jobs_folder) {
  Result<std::vector<std::string>> names = names_in(jobs_folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    // Best effort: what cannot be deleted is in nobody's way.
    if (name.starts_with(kRemovedPrefix)) (void)delete_flat_folder(jobs_folder + "/" + name);
  }
}

}  // namespace

Status remove_job_folder(const JobDir& job) {
  std::string jobs_folder = job.path().substr(0, job.path().rfind('/'));
  std::string removed = jobs_folder + "/" + std::string(kRemovedPrefix) + job.info().id;
  if (rename(job.path().c_str(), removed.c_str()) != 0) {
    return sys_error("remove job folder " + job.path());
  }
  CK_TRY(sync_folder(jobs_folder));
  Status deleted = delete_flat_folder(removed);
  clear_leftovers(jobs_folder);
  return deleted;
}

Status remove_job(const JobDir& job, bool force) {
  UniqueFd lock = CK_TRY(lock_job(job));
  UniqueFd held = CK_TRY(lock_held(job));
  CK_TRY(check_owner_gone(job, {.force = force, .counter = {}}));
  return remove_job_folder(job);
}

}  // namespace ck::job
