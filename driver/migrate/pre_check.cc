#include "driver/migrate/pre_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "driver/migrate/job_files.h"
#include "runtime/base/timespec.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/format.h"
#include "runtime/image/image.pb.h"
#include "runtime/image/writer.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/names.h"
#include "runtime/restore/check_cpu.h"

namespace ck::driver::migrate {
namespace {

Error refuse(std::string message, std::string hint = {}) {
  return make_error(ErrorKind::kRefused, std::move(message), std::move(hint));
}

Status check_memory(std::uint64_t wanted) {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;) {
    std::uint64_t kilobytes = 0;
    if (word != "MemAvailable:" || !(file >> kilobytes)) continue;
    if (kilobytes * 1024 >= wanted) return {};
    return refuse("the job has " + image::human_bytes(wanted) + " in memory, and " +
                  image::human_bytes(kilobytes * 1024) + " are free");
  }
  return {};
}

Status check_disk(const std::string& folder, std::uint64_t wanted) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) return sys_error("look at " + folder);
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  if (free >= wanted) return {};
  return refuse(folder + " has " + image::human_bytes(free) + " free, the image may need " +
                image::human_bytes(wanted));
}

Status check_host(const std::string& bytes) {
  image::HostRecord host;
  if (!host.ParseFromString(bytes)) return refuse("the host's description is damaged");
  return restore::check_cpu(host);
}

Error refuse_file(std::string message) {
  return refuse(std::move(message),
                "--files ship takes the job's own files along, --files map OLD=NEW finds them "
                "elsewhere");
}

// As strict as the restart would be.
Status check_file(const handover::wire::NeededFile& file, const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return refuse_file("the job uses " + path + ", which cannot be read here");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  // What the job writes may be on its way here, if it is the same file.
  if (file.written() && info.st_ino == file.inode()) return {};
  if (size < file.size())
    return refuse_file("the job uses " + path + ", which is shorter here: " + std::to_string(size) +
                       " bytes instead of " + std::to_string(file.size()));
  if (file.exact() && (size != file.size() || to_nanoseconds(info.st_mtim) != file.mtime_ns()))
    return refuse_file("the job maps " + path + ", which is of another size or time here");
  return {};
}

Status check_paths(const handover::wire::Needs& needs) {
  const PathMaps maps = CK_TRY(maps_of(needs.files()));
  for (const handover::wire::NeededFile& file : needs.needed()) {
    const std::string path = mapped(maps, file.path());
    struct stat info {};
    if (!file.folder()) {
      CK_TRY(check_file(file, path));
    } else if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
      return refuse_file("the job works in " + path + ", which is not here");
    }
  }
  return {};
}

// A folder that knows a newer life of the job must not be given an older one.
Status check_life(const handover::wire::Offer& offer, const std::string& jobs_folder) {
  const Result<job::JobDir> job = job::JobDir::find(jobs_folder, offer.job());
  if (!job.ok()) return job.error().kind == ErrorKind::kNotFound ? Status() : job.error();
  const auto last = CK_TRY(job->incarnation());
  if (!last || last->counter <= offer.token().counter()) return {};
  return refuse("job " + job->info().name + " has had a newer life here: " + last->describe());
}

}  // namespace

Status pre_check(const handover::wire::Offer& offer, const std::string& jobs_folder) {
  const handover::wire::Needs& needs = offer.needs();
  if (needs.image_format() != image::kFormatVersion)
    return refuse("its images are of another format than those of this host",
                  "install the same version of ckrun on both");
  CK_TRY(check_host(needs.host()));
  CK_TRY(job::make_folders(jobs_folder));
  CK_TRY(check_life(offer, jobs_folder));
  CK_TRY(check_memory(needs.memory_bytes()));
  CK_TRY(check_disk(jobs_folder, needs.image_bytes()));
  return check_paths(needs);
}

}  // namespace ck::driver::migrate
