// A limit on bandwidth: who wants to send is told when. Knows no clock. One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>

namespace ck::driver::transfer {

class TokenBucket {
 public:
  using Instant = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

  // `bytes_per_second` 0: no limit. `burst`: bytes that may go at once after a pause; a single
  // piece may be larger.
  TokenBucket(std::uint64_t bytes_per_second, std::uint64_t burst)
      : rate_(bytes_per_second), burst_(burst) {}

  // Takes `bytes` and tells when they may be sent: `now`, or later. `now` must not go backwards.
  Instant take(std::uint64_t bytes, Instant now);
  // What was taken before keeps its time.
  void set_rate(std::uint64_t bytes_per_second);

 private:
  // How long `bytes` take; the fraction of a nanosecond is kept for the next time.
  std::chrono::nanoseconds time_for(std::uint64_t bytes);

  std::uint64_t rate_;
  std::uint64_t burst_;
  std::uint64_t fraction_ = 0;  // of a nanosecond, in 1/rate_
  Instant paid_{};              // when all that was taken is through at the rate
};

}  // namespace ck::driver::transfer
