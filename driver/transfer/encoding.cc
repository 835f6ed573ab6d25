#include "driver/transfer/encoding.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ck::driver::transfer {

namespace {

constexpr double kMega = 1e6;
constexpr double kMemorySeconds = 10;

struct Figures {
  Encoding encoding;
  double speed;  // bytes a second and thread
  double ratio;  // content to stored
};

// Measured with zstd 1.5.4 in frames of 1 MiB, on the memory of a Python program with numpy arrays
// and 60,000 objects, on a busy processor. What matters is where they cross. Levels above 6 gained
// less than a percent, and want more memory than a supervisor should take.
constexpr Figures kFigures[] = {
    {{image::Codec::kRaw, 1}, std::numeric_limits<double>::infinity(), 1.0},
    {{image::Codec::kZstd, -5}, 320 * kMega, 3.06},
    {{image::Codec::kZstd, -1}, 294 * kMega, 3.88},
    {{image::Codec::kZstd, 1}, 189 * kMega, 4.27},
    {{image::Codec::kZstd, 3}, 110 * kMega, 4.42},
    {{image::Codec::kZstd, 6}, 41 * kMega, 4.57},
};

}  // namespace

Encoding encoding_for(double link, unsigned threads) {
  if (!(link > 0)) return {};
  const auto content_per_second = [&](const Figures& figures) {
    return std::min(link * figures.ratio, figures.speed * std::max(threads, 1u));
  };
  // Of equals the first, which costs the least.
  return std::max_element(std::begin(kFigures), std::end(kFigures),
                          [&](const Figures& a, const Figures& b) {
                            return content_per_second(a) < content_per_second(b);
                          })
      ->encoding;
}

void LinkSpeed::note(std::uint64_t bytes, std::chrono::nanoseconds took) {
  const double seconds = std::chrono::duration<double>(took).count();
  if (!(seconds > 0)) return;
  const double keep = std::exp(-seconds / kMemorySeconds);
  bytes_ = bytes_ * keep + static_cast<double>(bytes);
  seconds_ = seconds_ * keep + seconds;
}

std::optional<double> LinkSpeed::bytes_per_second() const {
  if (seconds_ == 0) return std::nullopt;
  return bytes_ / seconds_;
}

}  // namespace ck::driver::transfer
