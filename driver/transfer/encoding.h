// How an image is compressed for a link: the level of zstd that brings most content through in a
// second, where it is compressed first and sent then. Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "runtime/image/writer.h"

namespace ck::driver::transfer {

struct Encoding {
  image::Codec codec = image::Codec::kZstd;
  int level = 1;
  bool operator==(const Encoding&) const = default;
};

// `link`: bytes a second, as measured or as limited, whichever is less; 0 or less: not known, the
// engine's default. `threads` that compress; 0 counts as 1.
Encoding encoding_for(double link, unsigned threads);

// The same, but `usual` unless the other brings through `gain` times as much: a host where the job
// has been may have chunks of it that are compressed as usual, and are not sent again.
Encoding encoding_for(double link, unsigned threads, const Encoding& usual, double gain);

// The speed of a link from what went through it lately: older transfers count less and less.
class LinkSpeed {
 public:
  // Of a transfer that the link, not the disk or a limit, has held up.
  void note(std::uint64_t bytes, std::chrono::nanoseconds took);
  std::optional<double> bytes_per_second() const;

 private:
  double bytes_ = 0;
  double seconds_ = 0;
};

}  // namespace ck::driver::transfer
