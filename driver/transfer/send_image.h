// The two ends of an image's way: see transfer.proto. Blocking; in a process of the image's owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "driver/transfer/chunk_store.h"
#include "driver/transfer/outgoing_image.h"
#include "driver/transfer/stream.h"

namespace ck::driver::transfer {

struct Sent {
  std::uint64_t image_bytes = 0;
  std::uint64_t sent_bytes = 0;     // the rest was there
  std::chrono::nanoseconds took{};  // for these bytes
};
using OnProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct Part {
  bool early = false;  // the job still runs: another one follows
  bool files = false;  // a bundle of the job's files, no image
};

// Done once the other side has all of it on disk, and has done with it what `arrived` does there.
Result<Sent> send_image(Stream& stream, const OutgoingImage& image, Part part,
                        const OnProgress& on_progress);

struct Reception {
  // Where the image is to be; a whole one that is there already is kept if it is the same.
  std::function<Result<std::string>(Part part, const ImageHead& head)> path_for;
  // It is whole, and there; may be empty. An Error is the sender's, too.
  std::function<Status(Part part, const std::string& path)> arrived;
  // What is here already, asked once a manifest is complete.
  std::function<void(ChunkStore& store)> add_stores;
  std::uint64_t most_bytes = 0;  // of one image
};

// Images until the other side ends the stream. Failures are told to the other side, too.
Status receive_images(Stream& stream, const Reception& reception);

}  // namespace ck::driver::transfer
