#include "runtime/job/image_target.h"

#include <sys/stat.h>

#include <filesystem>

#include "runtime/image/generations.h"
#include "runtime/job/json.h"
#include "runtime/job/names.h"
#include "runtime/job/settings_json.h"

namespace ck::job {
namespace {

std::string absolute(const std::string& path) {
  std::error_code error;
  std::filesystem::path result = std::filesystem::absolute(path, error);
  return error ? path : result.lexically_normal().string();
}

Result<ImageTarget> from_folder(const std::string& folder) {
  std::string path = absolute(folder);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  Result<JobDir> job = JobDir::open(path);
  if (job.ok()) return ImageTarget{std::move(*job), ""};
  if (job.error().errnum != ENOENT) return std::move(job).error();
  return make_error(ErrorKind::kNotFound, path + " is not a job's folder");
}

Result<ImageTarget> from_file(const std::string& file) {
  ImageTarget target;
  target.image_path = absolute(file);
  std::size_t slash = target.image_path.rfind('/');
  if (image::generation_number(target.image_path.substr(slash + 1))) {
    Result<JobDir> job = JobDir::open(target.image_path.substr(0, slash));
    if (job.ok()) target.job = std::move(*job);
  }
  return target;
}

}  // namespace

Result<ImageTarget> locate_image(const std::string& target, const std::string& jobs_folder) {
  if (target.find('/') == std::string::npos) {
    Result<JobDir> job = JobDir::find(jobs_folder, target);
    struct stat info;
    bool is_file = stat(target.c_str(), &info) == 0 && S_ISREG(info.st_mode);
    if (job.ok()) return ImageTarget{std::move(*job), ""};
    if (!is_file) return std::move(job).error();
  }
  struct stat info;
  if (stat(target.c_str(), &info) != 0) return sys_error("open " + target);
  return S_ISDIR(info.st_mode) ? from_folder(target) : from_file(target);
}

Result<OpenImage> open_image(const ImageTarget& target, bool require_owner) {
  OpenImage opened;
  if (!target.image_path.empty()) {
    opened.reader = CK_TRY(image::Reader::open(target.image_path, require_owner));
    return opened;
  }
  image::NewestWhole newest = CK_TRY(image::open_newest_whole(target.job->path(), require_owner));
  opened.reader = std::move(newest.reader);
  opened.skipped = std::move(newest.skipped);
  return opened;
}

JobInfo job_info_of(const image::Manifest& manifest) {
  const image::JobRecord& record = manifest.job();
  JobInfo info;
  info.id = record.id();
  info.name = record.name();
  info.command.assign(record.command().begin(), record.command().end());
  const auto kept = parse_json_object(record.settings(), "the image's settings");
  if (kept.ok())
    if (const auto settings = parse_settings(*kept, "the image's settings"); settings.ok())
      info.settings = *settings;
  Result<int> number = parse_request_signal(record.request_signal());
  if (number.ok()) info.settings.request_signal = *number;
  return info;
}

}  // namespace ck::job
