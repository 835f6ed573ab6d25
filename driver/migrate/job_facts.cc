#include "driver/migrate/job_facts.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <set>
#include <vector>

#include "driver/handover/wire.h"
#include "driver/migrate/running_jobs.h"
#include "runtime/capture/process_state.h"
#include "runtime/image/format.h"
#include "runtime/job/find_job.h"
#include "runtime/job/job_dir.h"
#include "runtime/proc/maps.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"

namespace ck::driver::migrate {
namespace {

// Regular files that must be there by their path.
void add_path(const std::string& path, std::set<std::string>& paths) {
  struct stat info {};
  if (!path.starts_with('/') || path.size() > handover::kLongestPath) return;
  if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) paths.insert(path);
}

void add_open_files(RealPid pid, std::set<std::string>& paths) {
  const std::string folder = "/proc/" + to_string(pid) + "/fd";
  DIR* const listing = ::opendir(folder.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    std::array<char, PATH_MAX> path;
    const std::string link = folder + "/" + entry->d_name;
    const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
    if (size > 0) add_path(std::string(path.data(), static_cast<std::size_t>(size)), paths);
  }
  ::closedir(listing);
}

void add_mapped_files(RealPid pid, std::set<std::string>& paths) {
  const auto maps = proc::read_maps(pid);
  if (!maps.ok()) return;
  for (const auto& mapping : *maps) add_path(mapping.path, paths);
}

void add_needs(RealPid root, handover::wire::Needs& needs) {
  std::set<std::string> paths;
  std::uint64_t memory = 0;
  for (const RealPid pid : tree_of(root)) {
    const Result<proc::ProcessStatus> status = proc::read_status(pid);
    if (status.ok()) memory += status->vm_rss;
    add_open_files(pid, paths);
    add_mapped_files(pid, paths);
  }
  needs.set_memory_bytes(memory);
  needs.set_image_bytes(memory);
  for (const std::string& path : paths) {
    if (needs.paths_size() == handover::kMostPaths) break;
    needs.add_paths(path);
  }
}

}  // namespace

Result<wire::Facts> job_facts(const std::string& target, const std::string& jobs_folder,
                              const std::string& user) {
  job::ControlClient client = CK_TRY(job::find_supervisor(target, jobs_folder));
  const job::wire::StatusReply status = CK_TRY(client.status());
  const job::JobDir job = CK_TRY(job::JobDir::open(status.folder()));
  const auto incarnation = CK_TRY(job.incarnation());
  if (!incarnation || incarnation->counter != status.incarnation())
    return make_error(ErrorKind::kTryAgain, "job " + status.name() + " is changing its owner");
  if (status.held())
    return make_error(ErrorKind::kTryAgain, "job " + status.name() + " is held",
                      "ckpt unhold lets it go on");
  wire::Facts facts;
  facts.set_name(status.name());
  facts.set_folder(status.folder());
  handover::wire::Offer& offer = *facts.mutable_offer();
  offer.set_job(status.id());
  handover::wire::Token& token = *offer.mutable_token();
  token.set_counter(incarnation->counter);
  token.set_host(incarnation->host.name);
  token.set_supervisor(incarnation->supervisor.value);
  token.set_supervisor_start(incarnation->supervisor_start);
  handover::wire::Needs& needs = *offer.mutable_needs();
  needs.set_user(user);
  needs.set_image_format(image::kFormatVersion);
  needs.set_host(capture::describe_host().SerializeAsString());
  needs.set_job_class(job.info().settings.job_class);
  needs.set_tasks(tasks_now(RealPid(status.root())));
  // The supervisor may be in another pid namespace than we are: what cannot be seen is not counted.
  add_needs(RealPid(status.root()), needs);
  CK_TRY(handover::check(offer));
  return facts;
}

}  // namespace ck::driver::migrate
