#include "driver/daemon/child_output.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <memory>

#include "driver/daemon/channel.h"
#include "runtime/base/unique_fd.h"

namespace ck::daemon {
namespace {

using boost::system::error_code;

// Ends the child if nobody waits for it any more.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    kill();
    wait();
  }
  void kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
  }
  // Its wait status. Blocks: only once it has closed its end of the pipe, or was killed.
  int wait() {
    int status = 0;
    while (pid_ > 0 && waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
};

Error too_slow(const std::string& what) {
  return make_error(ErrorKind::kTryAgain, what + " took too long");
}

}  // namespace

bool write_all(int fd, const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    ssize_t count = write(fd, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

void close_all_but(std::array<int, 3> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned next = 3;
  for (int fd : kept) {
    if (fd < 3) continue;
    const auto number = static_cast<unsigned>(fd);
    if (number > next) ::close_range(next, number - 1, 0);
    next = number + 1;
  }
  ::close_range(next, ~0u, 0);
}

void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD}) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

Task<Result<std::string>> child_output(std::function<int(int)> work, std::string what,
                                       std::size_t limit, milliseconds patience) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) co_return sys_error(what);
  UniqueFd reading(ends[0]), writing(ends[1]);
  pid_t pid = fork();
  if (pid < 0) co_return sys_error(what);
  if (pid == 0) {
    reset_signals();
    close_all_but({writing.get(), -1, -1});
    _exit(work(writing.get()));
  }
  auto child = std::make_shared<Child>(pid);
  writing.reset();
  auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor pipe(executor, reading.release());
  asio::steady_timer timer(executor, patience);
  auto expired = std::make_shared<bool>(false);
  timer.async_wait([child, expired](error_code error) {
    if (error) return;
    *expired = true;
    child->kill();
  });
  std::string text;
  auto buffer = asio::dynamic_buffer(text, limit + 1);
  auto [error, size] = co_await asio::async_read(pipe, buffer, asio::transfer_all(), kAsTuple);
  timer.cancel();
  if (*expired) co_return too_slow(what);
  if (error && error != asio::error::eof) co_return sys_error(what, error.value());
  if (text.size() > limit) {
    child->kill();
    co_return make_error(ErrorKind::kRefused, what + " has too much to say");
  }
  int status = child->wait();
  if (*expired) co_return too_slow(what);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const std::string how = WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status))
                                              : "signal " + std::to_string(WTERMSIG(status));
    co_return make_error(ErrorKind::kSystem, what + " failed: " + (text.empty() ? how : text),
                         "is it installed, and does it work by hand?");
  }
  co_return text;
}

Task<Result<std::string>> program_output(std::vector<std::string> command, milliseconds patience) {
  std::string what = command[0];
  auto run = [command](int fd) {
    dup2(fd, STDOUT_FILENO);
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    return 127;
  };
  co_return co_await child_output(run, what, 8u << 20, patience);
}

}  // namespace ck::daemon
