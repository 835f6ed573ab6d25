// The list of files that go along with a job: what counts as the job's own, the limits, and the
// check of a list that came from elsewhere. Any thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "driver/files/files.pb.h"
#include "runtime/base/result.h"
#include "runtime/image/reader.h"

namespace ck::driver::files {

inline constexpr int kMostFiles = 20'000;
inline constexpr std::uint64_t kMostBytes = 16ull << 30;

// Names of the files that a hand-over puts beside the job's own for a moment.
inline constexpr std::string_view kTemporaryPrefix = ".ckrun-";

// A file that belongs to the caller, and is not in a folder of the system's, is the job's own: it
// goes along. All others must be the same at the other host.
bool is_own(std::string_view path, const struct stat& status);
// The kernel's own, and shared memory, which is in the image.
bool is_kernels(std::string_view path);

wire::Identity identity_of(const struct stat& status);
bool same(const wire::Identity& one, const wire::Identity& other);

// The list of a bundle, checked against its manifest: nothing of it is trusted. kRefused.
Result<wire::List> read_list(const image::Reader& bundle);

Result<wire::List> load_list(const std::string& path);
Status save_list(const std::string& path, const wire::List& list);

}  // namespace ck::driver::files
