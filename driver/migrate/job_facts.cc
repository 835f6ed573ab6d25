#include "driver/migrate/job_facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "driver/files/list.h"
#include "driver/handover/wire.h"
#include "driver/migrate/running_jobs.h"
#include "runtime/base/timespec.h"
#include "runtime/capture/process_state.h"
#include "runtime/image/format.h"
#include "runtime/job/find_job.h"
#include "runtime/job/job_dir.h"
#include "runtime/proc/fdinfo.h"
#include "runtime/proc/maps.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"

namespace ck::driver::migrate {
namespace {

// What must be there by its path.
class Needed {
 public:
  explicit Needed(bool ship) : ship_(ship) {}

  void add_process(RealPid pid) {
    add_open_files(pid);
    add_mapped_files(pid);
    add_folder("/proc/" + to_string(pid) + "/cwd");
  }

  void put(handover::wire::Needs& needs) const {
    for (const auto& [path, file] : files_) {
      if (needs.needed_size() == handover::kMostPaths) break;
      handover::wire::NeededFile& needed = *needs.add_needed();
      needed = file;
      // The image has the content of programs and libraries.
      if (executable_.contains(path)) needed.set_exact(false);
    }
  }

 private:
  // None: it goes along, or is not of the kind.
  handover::wire::NeededFile* add(const std::string& path) {
    struct stat info {};
    if (!path.starts_with('/') || path.size() > handover::kLongestPath || files::is_kernels(path))
      return nullptr;
    if (::stat(path.c_str(), &info) != 0) return nullptr;
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return nullptr;
    if (ship_ && files::is_own(path, info)) return nullptr;
    handover::wire::NeededFile& file = files_[path];
    file.set_path(path);
    file.set_size(static_cast<std::uint64_t>(info.st_size));
    file.set_mtime_ns(to_nanoseconds(info.st_mtim));
    file.set_inode(info.st_ino);
    file.set_folder(S_ISDIR(info.st_mode));
    return &file;
  }

  void add_folder(const std::string& link) {
    std::array<char, PATH_MAX> path;
    const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
    if (size > 0) add(std::string(path.data(), static_cast<std::size_t>(size)));
  }

  void add_open_files(RealPid pid) {
    const auto folder = proc::DescriptorFolder::open(pid);
    const std::string name = "/proc/" + to_string(pid) + "/fd";
    DIR* const listing = folder.ok() ? ::opendir(name.c_str()) : nullptr;
    if (listing == nullptr) return;
    while (const dirent* entry = ::readdir(listing)) {
      const int fd = std::atoi(entry->d_name);
      const auto target = folder->target(fd);
      const auto info = folder->info(fd);
      if (entry->d_name[0] == '.' || !target.ok() || !info.ok()) continue;
      handover::wire::NeededFile* const file = add(*target);
      if (file != nullptr && (info->flags & O_ACCMODE) != O_RDONLY) file->set_written(true);
    }
    ::closedir(listing);
  }

  void add_mapped_files(RealPid pid) {
    const auto maps = proc::read_maps(pid);
    if (!maps.ok()) return;
    for (const proc::Mapping& mapping : *maps) {
      handover::wire::NeededFile* const file = add(mapping.path);
      if (file == nullptr) continue;
      if ((mapping.prot & PROT_EXEC) != 0) executable_.insert(mapping.path);
      if (!mapping.shared) file->set_exact(true);
      if (mapping.shared && (mapping.prot & PROT_WRITE) != 0) file->set_written(true);
    }
  }

  const bool ship_;
  std::map<std::string, handover::wire::NeededFile> files_;
  std::set<std::string> executable_;
};

void add_needs(RealPid root, handover::wire::Needs& needs) {
  Needed needed(needs.files().ship());
  std::uint64_t memory = 0;
  for (const RealPid pid : tree_of(root)) {
    const Result<proc::ProcessStatus> status = proc::read_status(pid);
    if (status.ok()) memory += status->vm_rss;
    needed.add_process(pid);
  }
  needs.set_memory_bytes(memory);
  needs.set_image_bytes(memory);
  needed.put(needs);
}

}  // namespace

Result<wire::Facts> job_facts(const std::string& target, const std::string& jobs_folder,
                              const std::string& user, const handover::wire::FilesPlan& files) {
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
  *needs.mutable_files() = files;
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
