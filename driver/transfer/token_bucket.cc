#include "driver/transfer/token_bucket.h"

#include <algorithm>
#include <limits>

namespace ck::driver::transfer {

namespace {

__extension__ using Wide = unsigned __int128;
constexpr std::uint64_t kPerSecond = 1'000'000'000;
// A piece that would take longer takes this long: times stay far from their limits.
constexpr std::uint64_t kLongest = std::uint64_t{30} * 24 * 3600 * kPerSecond;

std::chrono::nanoseconds nanoseconds(Wide count) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min<Wide>(count, kLongest)));
}

}  // namespace

std::chrono::nanoseconds TokenBucket::time_for(std::uint64_t bytes) {
  const Wide parts = Wide{bytes} * kPerSecond + fraction_;
  fraction_ = static_cast<std::uint64_t>(parts % rate_);
  return nanoseconds(parts / rate_);
}

TokenBucket::Instant TokenBucket::take(std::uint64_t bytes, Instant now) {
  if (rate_ == 0) return now;
  if (paid_ < now) {
    paid_ = now;
    fraction_ = 0;
  }
  const std::chrono::nanoseconds allowance = nanoseconds(Wide{burst_} * kPerSecond / rate_);
  paid_ += time_for(bytes);
  return std::max(now, paid_ - allowance);
}

void TokenBucket::set_rate(std::uint64_t bytes_per_second) {
  rate_ = bytes_per_second;
  fraction_ = 0;
}

}  // namespace ck::driver::transfer
