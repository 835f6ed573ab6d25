#include "runtime/job/installation.h"

#include <unistd.h>

#include <array>
#include <filesystem>

namespace ck::job {
namespace {

struct Layout {
  const char* agent;
  const char* restorer;
};
// Relative to the folder of the executable.
constexpr std::array kLayouts{
    Layout{"../" CKRUN_LIBRARY_FOLDER "/ckrun/libckrun.so",
           "../" CKRUN_LIBRARY_FOLDER "/ckrun/ckrun-restorer"},
    Layout{"../lib/libckrun.so", "../lib/ckrun/ckrun-restorer"},
};

}  // namespace

Result<Installation> find_installation() {
  std::error_code error;
  std::filesystem::path executable = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return sys_error("read /proc/self/exe", error.value());
  std::filesystem::path folder = executable.parent_path();
  for (const Layout& layout : kLayouts) {
    Installation found;
    found.agent = (folder / layout.agent).lexically_normal().string();
    found.restorer = (folder / layout.restorer).lexically_normal().string();
    if (access(found.agent.c_str(), R_OK) == 0 && access(found.restorer.c_str(), X_OK) == 0) {
      // LD_PRELOAD takes these for the ends of names (ld.so(8)).
      if (found.agent.find_first_of(" \t\n:") != std::string::npos)
        return make_error(
            ErrorKind::kRefused,
            "LD_PRELOAD cannot name the agent " + found.agent + ": its path has a blank or a colon",
            "install ckrun in a folder without them");
      return found;
    }
  }
  return make_error(ErrorKind::kSystem,
                    "libckrun.so and ckrun-restorer are not beside " + executable.string(),
                    "install ckrun again");
}

}  // namespace ck::job
