#include "tools/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tools/print.h"

namespace ck::tools {
namespace {

constexpr std::chrono::seconds kQuietTime{1};
constexpr std::chrono::milliseconds kRedrawPeriod{100};
constexpr unsigned kBarCells = 12;

unsigned terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string bar(double share) {
  auto filled = static_cast<unsigned>(share * kBarCells);
  return "[" + std::string(filled, '#') + std::string(kBarCells - filled, '.') + "]";
}

}  // namespace

std::string progress_line(const std::string& what, std::uint64_t done, std::uint64_t total,
                          std::chrono::milliseconds elapsed, unsigned width) {
  std::string line = what;
  if (total > 0) {
    done = std::min(done, total);
    double share = static_cast<double>(done) / static_cast<double>(total);
    line += " " + bar(share) + " " + std::to_string(static_cast<int>(share * 100)) + "% of " +
            format_bytes(total);
    double seconds = static_cast<double>(elapsed.count()) / 1000;
    if (done > 0 && seconds > 0) {
      double rate = static_cast<double>(done) / seconds;
      auto left = static_cast<std::int64_t>(static_cast<double>(total - done) / rate + 0.5);
      line += "  " + format_bytes(static_cast<std::uint64_t>(rate)) + "/s  " +
              std::to_string(left / 60) + ":" + (left % 60 < 10 ? "0" : "") +
              std::to_string(left % 60) + " left";
    }
  }
  return line.substr(0, width > 0 ? width - 1 : 0);
}

ProgressBar::ProgressBar() : on_(isatty(STDERR_FILENO) == 1) {}

void ProgressBar::begin(const char* what, std::uint64_t total_bytes) {
  if (!on_) return;
  std::lock_guard lock(mutex_);
  what_ = what;
  done_ = 0;
  total_ = total_bytes;
  phase_start_ = Clock::now();
  draw();
}

void ProgressBar::advance(std::uint64_t bytes) {
  if (!on_) return;
  std::lock_guard lock(mutex_);
  done_ += bytes;
  draw();
}

void ProgressBar::show(const std::string& what, std::uint64_t done, std::uint64_t total) {
  if (!on_) return;
  std::lock_guard lock(mutex_);
  if (what != what_) phase_start_ = Clock::now();
  what_ = what;
  done_ = done;
  total_ = total;
  draw();
}

void ProgressBar::draw() {
  Clock::time_point now = Clock::now();
  if (now - start_ < kQuietTime || now - last_drawn_ < kRedrawPeriod) return;
  last_drawn_ = now;
  drawn_ = true;
  auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - phase_start_);
  std::string line = progress_line(what_, done_, total_, elapsed, terminal_width());
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
}

void ProgressBar::clear() {
  std::lock_guard lock(mutex_);
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

}  // namespace ck::tools
