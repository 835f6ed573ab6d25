// From what the user typed to an image: a job's name, id or folder (then its newest whole image),
// or an image's path. Any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/image/reader.h"
#include "runtime/job/job_dir.h"

namespace ck::job {

struct ImageTarget {
  std::optional<JobDir> job;  // whose folder the image is in; none for an image elsewhere
  std::string image_path;     // absolute; empty: the job's newest whole image
};
Result<ImageTarget> locate_image(const std::string& target, const std::string& jobs_folder);

struct OpenImage {
  std::unique_ptr<image::Reader> reader;
  std::vector<std::string> skipped;  // newer images that cannot be used, one line each
};
// `require_owner`: as Reader::open().
Result<OpenImage> open_image(const ImageTarget& target, bool require_owner);

// What job.json would say of an image whose job folder is not here.
JobInfo job_info_of(const image::Manifest& manifest);

}  // namespace ck::job
