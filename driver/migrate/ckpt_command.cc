#include "driver/migrate/ckpt_command.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>

#include "runtime/base/unique_fd.h"

namespace ck::driver::migrate {
namespace {

constexpr std::size_t kMostOutput = 64u << 10;
constexpr off_t kLogTail = 4096;
constexpr int kReadyFd = 3;

// In a forked child of a step, `parent`: what comes after that step may undo what this is about. By
// the thread that waits for it: the kernel takes the end of that for the parent's (prctl(2)).
void die_with(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != parent) ::_exit(1);
}

// In a forked child: nothing but these three streams, and `ready` if there is one, goes along.
[[noreturn]] void execute(const std::string& path, const std::vector<std::string>& arguments,
                          int input, int output, int error, int ready) {
  std::vector<char*> argv{const_cast<char*>("ckpt")};
  for (const std::string& word : arguments) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  // Out of the way of the numbers that they get.
  for (int* fd : {&input, &output, &error, &ready})
    if (*fd >= 0) *fd = ::fcntl(*fd, F_DUPFD_CLOEXEC, 10);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(error, STDERR_FILENO);
  if (ready >= 0) ::dup2(ready, kReadyFd);
  ::close_range(ready >= 0 ? kReadyFd + 1 : kReadyFd, ~0u, 0);
  ::execv(path.c_str(), argv.data());
  ::_exit(127);
}

std::string read_to_end(int fd) {
  std::string text;
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t count = ::read(fd, part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    if (text.size() < kMostOutput) text.append(part.data(), static_cast<std::size_t>(count));
  }
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

ErrorKind kind_of(int exit_status) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::kPermission); ++i)
    if (exit_code(static_cast<ErrorKind>(i)) == exit_status) return static_cast<ErrorKind>(i);
  return ErrorKind::kSystem;
}

// Its last line, without the name that it begins with.
Error failure(const std::vector<std::string>& arguments, int status, std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  text.erase(0, text.rfind('\n') + 1);
  if (text.starts_with("ckpt: ")) text.erase(0, 6);
  const bool exited = WIFEXITED(status);
  if (text.empty()) {
    text = "ckpt " + arguments[0] +
           (exited ? " ended with status " + std::to_string(WEXITSTATUS(status))
                   : " was killed by signal " + std::to_string(WTERMSIG(status)));
  }
  return make_error(exited ? kind_of(WEXITSTATUS(status)) : ErrorKind::kTryAgain, std::move(text));
}

std::string end_of_file(int fd, off_t begin) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return {};
  begin = std::max(begin, info.st_size - kLogTail);
  std::string text(static_cast<std::size_t>(std::max<off_t>(info.st_size - begin, 0)), '\0');
  const ssize_t count = ::pread(fd, text.data(), text.size(), begin);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return text;
}

}  // namespace

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return sys_error("make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<std::string> installed(const std::string& command) {
  std::array<char, PATH_MAX> path;
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return sys_error("find out where this program is installed");
  const std::string self(path.data(), static_cast<std::size_t>(size));
  return self.substr(0, self.rfind('/') + 1) + command;
}

Result<std::string> run_ckpt(const std::vector<std::string>& arguments) {
  const std::string path = CK_TRY(installed("ckpt"));
  Pipe output = CK_TRY(make_pipe());
  Pipe error = CK_TRY(make_pipe());
  UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const pid_t own = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error("start ckpt");
  if (pid == 0) {
    die_with(own);
    execute(path, arguments, null.get(), output.writing.get(), error.writing.get(), -1);
  }
  output.writing.reset();
  error.writing.reset();
  // It writes a few lines: neither pipe is ever full.
  std::string text = read_to_end(output.reading.get());
  std::string trouble = read_to_end(error.reading.get());
  const int status = wait_for(pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
  return failure(arguments, status, std::move(trouble));
}

Status start_ckpt(const std::string& subcommand, const std::vector<std::string>& arguments,
                  const std::string& log) {
  const std::string path = CK_TRY(installed("ckpt"));
  std::vector<std::string> words{subcommand, "--ready-fd", std::to_string(kReadyFd)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  UniqueFd file(::open(log.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return sys_error("open " + log);
  const off_t begin = ::lseek(file.get(), 0, SEEK_END);
  Pipe ready = CK_TRY(make_pipe());
  UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error("start ckpt " + subcommand);
  if (pid == 0) {
    ::setsid();
    execute(path, words, null.get(), file.get(), file.get(), ready.writing.get());
  }
  ready.writing.reset();
  // Once it is ready it is nobody's child: this process ends soon.
  if (!read_to_end(ready.reading.get()).empty()) return {};
  const int status = wait_for(pid);  // it says why only after it has closed that pipe
  return failure(words, status, end_of_file(file.get(), begin));
}

}  // namespace ck::driver::migrate
