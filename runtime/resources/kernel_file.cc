#include "runtime/resources/kernel_file.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
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

// The same path with another number behind "/task/", if there is one.
template <typename Translate>
std::string with_thread(const std::string& path, Translate translate) {
  constexpr std::string_view kTask = "/task/";
  const std::size_t found = path.find(kTask);
  if (found == path.npos) return path;
  const std::size_t begin = found + kTask.size();
  const pid_t thread = proc::TextCursor(std::string_view(path).substr(begin)).number<pid_t>();
  if (thread <= 0) return path;
  const std::size_t end = std::min(path.find('/', begin), path.size());
  return path.substr(0, begin) + std::to_string(translate(thread)) + path.substr(end);
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
  if (!path.starts_with(kProc) || !std::isdigit(path[kProc.size()])) return path;
  const std::string tail = path.substr(std::min(path.find('/', kProc.size()), path.size()));
  pid_t number = proc::TextCursor(std::string_view(path).substr(kProc.size())).number<pid_t>();
  std::optional<std::size_t> process = process_named(session, file, number);
  if (!process) {
    // Programs that look at others, like top, have such files open for a moment.
    return make_error(ErrorKind::kTryAgain,
                      "it is the kernel's file about another process, outside of the job",
                      "try again when the program has closed it")
        .that_passes();
  }
  if (session.survey) return std::string(kProc) + "self" + tail;
  const ControlArea& area = session.processes[0].mailbox->area();
  const std::string whose =
      *process == file.process ? "self" : std::to_string(session.processes[*process].record->pid());
  return std::string(kProc) + whose +
         with_thread(tail, [&](pid_t thread) { return area.virtual_id(thread); });
}

std::string kernel_file_path(const std::string& name, const ControlArea& area) {
  if (!name.starts_with(kProc)) return name;
  const auto real = [&](pid_t id) { return area.real_id(id); };
  std::string path = with_thread(name, real);
  if (!std::isdigit(path[kProc.size()])) return path;
  const std::size_t end = std::min(path.find('/', kProc.size()), path.size());
  const pid_t process =
      proc::TextCursor(std::string_view(path).substr(kProc.size())).number<pid_t>();
  return std::string(kProc) + std::to_string(real(process)) + path.substr(end);
}

}  // namespace ck::resources
