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
constexpr Figures kLevels[] = {
    {{image::Codec::kZstd, -5}, 320 * kMega, 3.06}, {{image::Codec::kZstd, -1}, 294 * kMega, 3.88},
    {{image::Codec::kZstd, 1}, 189 * kMega, 4.27},  {{image::Codec::kZstd, 3}, 110 * kMega, 4.42},
    {{image::Codec::kZstd, 6}, 41 * kMega, 4.57},
};

// Never chosen: what is not compressed is written, read and checked at both ends as it is, and the
// disks are the link then. 1 GiB went through at 260 MB/s where 200 MB of compressed chunks had
// gone at 580, and took nearly twice as long as compressed.
constexpr Figures kNotCompressed{
    {image::Codec::kRaw, 1}, std::numeric_limits<double>::infinity(), 1.0};

double content_per_second(const Figures& figures, double link, unsigned threads) {
  return 1 / (1 / (figures.speed * std::max(threads, 1u)) + 1 / (link * figures.ratio));
}

const Figures& best_for(double link, unsigned threads) {
  // Of equals the first, which costs the least.
  return *std::max_element(
      std::begin(kLevels), std::end(kLevels), [&](const Figures& a, const Figures& b) {
        return content_per_second(a, link, threads) < content_per_second(b, link, threads);
      });
}

// Of the highest level that is not above.
const Figures& figures_of(const Encoding& encoding) {
  if (encoding.codec == image::Codec::kRaw) return kNotCompressed;
  const Figures* found = &kLevels[0];
  for (const Figures& figures : kLevels)
    if (figures.encoding.level <= encoding.level) found = &figures;
  return *found;
}

}  // namespace

Encoding encoding_for(double link, unsigned threads) {
  if (!(link > 0)) return {};
  return best_for(link, threads).encoding;
}

Encoding encoding_for(double link, unsigned threads, const Encoding& usual, double gain) {
  if (!(link > 0)) return usual;
  const Figures& best = best_for(link, threads);
  const double now = content_per_second(figures_of(usual), link, threads);
  return content_per_second(best, link, threads) < now * gain ? usual : best.encoding;
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
