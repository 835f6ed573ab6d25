#include "runtime/resources/kernel_file.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cctype>
#include <optional>

#include "runtime/proc/text_cursor.h"

namespace ck::resources {
namespace {

constexpr std::string_view kProc = "/proc/";

// Which process of the job a number below /proc means.
std::optional<std::size_t> process_named(const CaptureSession& session, const OpenFile& file,
                                         pid_t number) {
  struct stat here {};
  bool shows_real_ids = ::stat("/proc", &here) == 0 && here.st_dev == file.status.st_dev;
  if (shows_real_ids || session.survey) return session.find_process(RealPid(number));
  for (std::size_t i = 0; i < session.processes.size(); ++i) {
    if (session.processes[i].record->pid() == number) return i;
  }
  return std::nullopt;
}

}  // namespace

bool is_kernel_file(const OpenFile& file) {
  struct statfs system {};
  int result = file.duplicate ? ::fstatfs(file.duplicate.get(), &system)
                              : ::statfs(file.entry.target.c_str(), &system);
  return result == 0 && (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC);
}

Result<std::string> kernel_file_name(const CaptureSession& session, const OpenFile& file) {
  const std::string& path = file.entry.target;
  std::size_t tail = path.find('/', kProc.size());
  if (!path.starts_with(kProc) || tail == path.npos || !std::isdigit(path[kProc.size()]))
    return path;
  pid_t number = proc::TextCursor(std::string_view(path).substr(kProc.size())).number<pid_t>();
  std::optional<std::size_t> process = process_named(session, file, number);
  if (!process) {
    // Programs that look at others, like top, have such files open for a moment.
    return make_error(ErrorKind::kTryAgain,
                      "it is the kernel's file about another process, outside of the job",
                      "try again when the program has closed it")
        .that_passes();
  }
  if (*process == file.process || session.survey) return "/proc/self" + path.substr(tail);
  return std::string(kProc) + std::to_string(session.processes[*process].record->pid()) +
         path.substr(tail);
}

}  // namespace ck::resources
