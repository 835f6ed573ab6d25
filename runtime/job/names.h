// Names and ids of jobs, and where job folders are. A job is found by either name or id. Any
// thread.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace ck::job {

// At most 64 bytes; no '/', no control characters, no leading '.' or '-', not digits alone (that
// would be a pid).
Status check_name(std::string_view name);

// Eight random characters of a-z and 0-9; the first is a letter.
Result<std::string> make_id();

// The program's base name, made valid, then "-" and the id.
std::string default_name(std::string_view program, std::string_view id);

// `option` if it is not empty, else $CKRUN_DIR, else $XDG_STATE_HOME/ckrun, else
// ~/.local/state/ckrun; absolute.
Result<std::string> jobs_folder(const std::string& option);

// Why a folder could not be made whose parent is there; `failure`: mkdir's errno.
Error cannot_make_folder(const std::string& path, int failure);

// Creates the folder and missing parents, mode 0700.
Status make_folders(const std::string& path);

}  // namespace ck::job
