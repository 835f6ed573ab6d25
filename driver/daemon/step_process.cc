#include "driver/daemon/step_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>

#include "driver/daemon/channel.h"
#include "driver/daemon/child_output.h"
#include "driver/protocol/frame.h"
#include "runtime/base/unique_fd.h"

namespace ck::daemon {
namespace {

using driver::migrate::wire::StepReport;

constexpr std::uint32_t kLongestReport = 64u << 20;  // the paths of a job are in it
constexpr std::chrono::milliseconds kReportPeriod{100};

bool write_report(int fd, const StepReport& report) {
  const Result<std::string> frame = protocol::make_frame(report, kLongestReport);
  return frame.ok() && write_all(fd, *frame);
}

[[noreturn]] void run_in_child(const StepWork& work, int out, pid_t daemon) {
  reset_signals();
  close_all_but({out, work.stream, work.lock});
  StepReport last;
  const Status became = work.user ? become(*work.user) : Status();
  // After become(), which would undo it.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != daemon) ::_exit(1);
  auto told = std::chrono::steady_clock::time_point();
  const auto report = [&](const driver::migrate::wire::Progress& progress) {
    const auto now = std::chrono::steady_clock::now();
    const std::uint64_t done = progress.done_bytes();
    if (done != 0 && done != progress.total_bytes() && now - told < kReportPeriod) return;
    told = now;
    StepReport news;
    *news.mutable_progress() = progress;
    write_report(out, news);
  };
  auto result =
      became.ok() ? work.run(report) : Result<driver::migrate::wire::Result>(became.error());
  if (result.ok()) {
    *last.mutable_result() = *std::move(result);
  } else {
    *last.mutable_failure() = protocol::refusal_of(result.error());
  }
  ::_exit(write_report(out, last) ? 0 : 1);
}

Task<Result<StepReport>> read_report(asio::posix::stream_descriptor& pipe) {
  protocol::FrameHeader header;
  auto [error, size] = co_await asio::async_read(pipe, asio::buffer(header), kAsTuple);
  if (error) co_return make_error(ErrorKind::kTryAgain, "was ended");
  CK_CO_TRY(std::uint32_t length, protocol::frame_length(header, kLongestReport));
  std::string body(length, '\0');
  auto [cut, count] = co_await asio::async_read(pipe, asio::buffer(body), kAsTuple);
  StepReport report;
  if (cut || !report.ParseFromString(body))
    co_return make_error(ErrorKind::kTryAgain, "was cut short");
  co_return report;
}

// One that was killed may still take its time, in the kernel.
Task<void> reap(pid_t pid) {
  UniqueFd end(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (end) {
    asio::posix::stream_descriptor watched(co_await asio::this_coro::executor, end.release());
    (void)co_await watched.async_wait(asio::posix::stream_descriptor::wait_read, kAsTuple);
  }
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

// Ends the step once it has been silent for too long.
class StepPatience {
 public:
  StepPatience(const asio::any_io_executor& executor, std::shared_ptr<StepProcess> step,
               milliseconds patience)
      : timer_(executor), step_(std::move(step)), patience_(patience) {
    heard();
  }
  void heard() {
    timer_.expires_after(patience_);
    timer_.async_wait([step = step_, over = over_](boost::system::error_code error) {
      if (error || step->pid_ == 0) return;
      *over = true;
      ::kill(step->pid_, SIGKILL);
    });
  }
  bool over() const { return *over_; }

 private:
  asio::steady_timer timer_;
  std::shared_ptr<StepProcess> step_;
  milliseconds patience_;
  std::shared_ptr<bool> over_ = std::make_shared<bool>(false);
};

void StepProcess::kill() {
  killed_ = true;
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

Task<Result<driver::migrate::wire::Result>> run_step(std::shared_ptr<StepProcess> handle,
                                                     StepWork work, UniqueFd stream) {
  if (handle->killed_) co_return make_error(ErrorKind::kTryAgain, work.what + " was given up");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) co_return sys_error(work.what);
  UniqueFd reading(ends[0]), writing(ends[1]);
  const pid_t daemon = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) co_return sys_error(work.what);
  if (pid == 0) run_in_child(work, writing.get(), daemon);
  handle->pid_ = pid;
  writing.reset();
  stream.reset();
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor pipe(executor, reading.release());
  StepPatience patience(executor, handle, work.patience);
  Result<StepReport> report = StepReport();
  for (;;) {
    report = co_await read_report(pipe);
    if (!report.ok() || !report->has_progress()) break;
    patience.heard();
    if (work.on_progress) work.on_progress(report->progress());
  }
  handle->pid_ = 0;
  ::kill(pid, SIGKILL);  // its last word is said
  co_await reap(pid);
  if (patience.over()) report = make_error(ErrorKind::kTryAgain, "took too long");
  if (!report.ok()) co_return std::move(report).error().within(work.what);
  if (report->has_failure()) co_return protocol::error_of(report->failure());
  co_return report->result();
}

}  // namespace ck::daemon
