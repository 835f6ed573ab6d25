// A bundle: a file in the format of images that holds files, and no job. Its manifest has objects
// and no processes, and says by its writer what it is; what the objects are is the business of who
// made it (driver/files). Any thread.
#pragma once

#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "runtime/image/reader.h"

namespace ck::image {

inline constexpr char kBundleWriter[] = "ckrun files 1";
bool is_bundle(const Manifest& manifest);

// As Reader::open(), which takes images of jobs only.
Result<std::unique_ptr<Reader>> open_image_or_bundle(const std::string& path, bool require_owner);
// The caller's own, or root's.
Result<std::unique_ptr<Reader>> open_bundle(const std::string& path);

}  // namespace ck::image
