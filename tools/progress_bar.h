// A line on the terminal for work of more than a second: how much is done, how fast, how long
// still. Draws nothing if standard error is not a terminal. Thread-safe.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "runtime/image/writer.h"

namespace ck::tools {

// The line itself, at most `width` columns; pure.
std::string progress_line(const std::string& what, std::uint64_t done, std::uint64_t total,
                          std::chrono::milliseconds elapsed, unsigned width);

class ProgressBar : public image::Progress {
 public:
  ProgressBar();
  ~ProgressBar() override { clear(); }
  void begin(const char* what, std::uint64_t total_bytes) override;
  void advance(std::uint64_t bytes) override;
  // For progress that somebody else counts.
  void show(const std::string& what, std::uint64_t done, std::uint64_t total);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void draw();
  const bool on_;
  const Clock::time_point start_ = Clock::now();
  std::mutex mutex_;
  std::string what_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
  Clock::time_point phase_start_ = start_;
  Clock::time_point last_drawn_{};
  bool drawn_ = false;
};

}  // namespace ck::tools
