// Small files of a job folder: read with a limit, replaced so that a reader sees the old content or
// the new, also after a crash. Any thread.
#pragma once

#include <functional>
#include <string>

#include "runtime/base/result.h"

namespace ck::job {

Result<std::string> read_small_file(const std::string& path, std::size_t limit = 1 << 20);

// Temporary name, fsync, `before_rename`, rename, fsync of the folder; mode 0600. On an error the
// old content stays and no temporary file is left.
Status replace_file(const std::string& path, const std::string& content,
                    const std::function<Status()>& before_rename = {});

Status sync_folder(const std::string& path);

}  // namespace ck::job
