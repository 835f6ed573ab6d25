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

pid_t number_at(std::string_view path, std::size_t begin) {
  return proc::TextCursor(path.substr(begin)).number<pid_t>();
}

// The same path with another word in the place of the one at `begin`.
std::string with_word(const std::string& path, std::size_t begin, const std::string& word) {
  return path.substr(0, begin) + word + path.substr(std::min(path.find('/', begin), path.size()));
}

// The same path with another number behind "/task/", if there is one.
template <typename Translate>
std::string with_thread(const std::string& path, Translate translate) {
  constexpr std::string_view kTask = "/task/";
  const std::size_t found = path.find(kTask);
  if (found == path.npos) return path;
  const std::size_t begin = found + kTask.size();
  const pid_t thread = number_at(path, begin);
  return thread <= 0 ? path : with_word(path, begin, std::to_string(translate(thread)));
}

bool is_about_process(const std::string& path) {
  return path.starts_with(kProc) && std::isdigit(path[kProc.size()]);
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
  if (!is_about_process(path)) return path;
  std::optional<std::size_t> process = process_named(session, file, number_at(path, kProc.size()));
  if (!process) {
    // Programs that look at others, like top, have such files open for a moment.
    return make_error(ErrorKind::kTryAgain,
                      "it is the kernel's file about another process, outside of the job",
                      "try again when the program has closed it")
        .that_passes();
  }
  if (session.survey) return with_word(path, kProc.size(), "self");
  const ControlArea& area = session.processes[0].mailbox->area();
  const std::string whose =
      *process == file.process ? "self" : std::to_string(session.processes[*process].record->pid());
  return with_word(with_thread(path, [&](pid_t thread) { return area.virtual_id(thread); }),
                   kProc.size(), whose);
}

std::string kernel_file_path(const std::string& name, const ControlArea& area) {
  if (!name.starts_with(kProc)) return name;
  const auto real = [&](pid_t id) { return area.real_id(id); };
  const std::string path = with_thread(name, real);
  if (!is_about_process(path)) return path;
  return with_word(path, kProc.size(), std::to_string(real(number_at(path, kProc.size()))));
}

}  // namespace ck::resources
