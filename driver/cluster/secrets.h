// Files of the configuration folder: where it is, who may have written them, and what only we may
// read. Any thread.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::cluster {

// `option` if it is not empty, else for root /etc/ckrun, else $XDG_CONFIG_HOME/ckrun, else
// ~/.config/ckrun; absolute.
Result<std::string> config_folder(const std::string& option);

// Content of a file that is ours or root's and that nobody else could have written. A missing one
// has errnum ENOENT.
Result<std::string> read_trusted(const std::string& path);
// The same, of a file that nobody else could have read.
Result<std::string> read_secret(const std::string& path);

// One process at a time changes the folder: waits for its turn. Released with the descriptor.
Result<UniqueFd> lock_folder(const std::string& folder);

}  // namespace ck::cluster
