#include "driver/transfer/send_image.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "driver/transfer/incoming_image.h"

namespace ck::driver::transfer {

namespace {

using Kind = wire::Message::KindCase;

constexpr std::size_t kPieceBytes = 256u << 10;
constexpr int kRangesAtOnce = 4096;

Status send_manifest(Stream& stream, const OutgoingImage& image, std::uint64_t missing) {
  if (missing > image.manifest_bytes())
    return make_error(ErrorKind::kRefused, "a peer wants more than the manifest");
  for (std::uint64_t offset = image.manifest_bytes() - missing; offset < image.manifest_bytes();) {
    wire::Message message;
    std::string& bytes = *message.mutable_manifest_piece()->mutable_bytes();
    bytes.resize(std::min<std::uint64_t>(kPieceBytes, image.manifest_bytes() - offset));
    CK_TRY(image.read_manifest(offset, std::as_writable_bytes(std::span(bytes))));
    CK_TRY(stream.send(message));
    offset += bytes.size();
  }
  return {};
}

Result<std::vector<ExtentRange>> receive_needed(Stream& stream, std::size_t extents) {
  std::vector<ExtentRange> ranges;
  for (;;) {
    const wire::Message message = CK_TRY(stream.receive(Kind::kNeeded));
    for (const wire::Range& range : message.needed().ranges())
      ranges.push_back({range.first(), range.count()});
    if (ranges.size() > extents)
      return make_error(ErrorKind::kRefused, "a peer asks for more than there is");
    if (message.needed().last()) break;
  }
  CK_TRY(check(ranges, extents));
  return ranges;
}

std::uint64_t bytes_of(const std::vector<ExtentRange>& ranges, const std::vector<Extent>& extents) {
  std::uint64_t bytes = 0;
  for (const ExtentRange& range : ranges)
    for (std::uint32_t i = 0; i < range.count; ++i) bytes += extents[range.first + i].size;
  return bytes;
}

Status send_needed(Stream& stream, const IncomingImage& image) {
  const std::vector<ExtentRange> ranges = image.needed();
  std::size_t next = 0;
  do {
    wire::Message message;
    wire::Needed& needed = *message.mutable_needed();
    while (next < ranges.size() && needed.ranges_size() < kRangesAtOnce) {
      wire::Range& range = *needed.add_ranges();
      range.set_first(ranges[next].first);
      range.set_count(ranges[next].count);
      ++next;
    }
    needed.set_last(next == ranges.size());
    CK_TRY(stream.send(message));
  } while (next < ranges.size());
  return {};
}

Result<ImageHead> head_of(const wire::Head& message) {
  ImageHead head{};
  if (message.header().size() != sizeof head.header ||
      message.footer().size() != sizeof head.footer)
    return make_error(ErrorKind::kRefused, "a peer sends an image's head of a wrong size");
  std::memcpy(&head.header, message.header().data(), sizeof head.header);
  std::memcpy(&head.footer, message.footer().data(), sizeof head.footer);
  return head;
}

// Whether that very image is at `path`. An Error if another one is.
Result<bool> is_there(const std::string& path, const ImageHead& head) {
  if (::access(path.c_str(), F_OK) != 0) return false;
  const std::unique_ptr<OutgoingImage> image = CK_TRY(OutgoingImage::open(path));
  if (std::memcmp(&image->head(), &head, sizeof head) == 0) return true;
  return make_error(ErrorKind::kRefused, path + " is there already, and is another image");
}

Status want_manifest(Stream& stream, std::uint64_t bytes) {
  wire::Message message;
  message.mutable_manifest_wanted()->set_bytes(bytes);
  return stream.send(message);
}

Status receive_chunks(Stream& stream, IncomingImage& image) {
  while (image.needed_bytes() > 0) {
    const wire::Message message = CK_TRY(stream.receive(Kind::kChunk));
    CK_TRY(image.add(message.chunk().index(), std::as_bytes(std::span(message.chunk().bytes()))));
  }
  return image.finish();
}

Status receive_image(Stream& stream, const wire::Head& message, const Reception& reception) {
  const ImageHead head = CK_TRY(head_of(message));
  const Part part{message.early(), message.files()};
  const std::string path = CK_TRY(reception.path_for(part, head));
  if (CK_TRY(is_there(path, head))) {
    CK_TRY(want_manifest(stream, 0));
    wire::Message nothing;
    nothing.mutable_needed()->set_last(true);
    CK_TRY(stream.send(nothing));
  } else {
    const std::unique_ptr<IncomingImage> image =
        CK_TRY(IncomingImage::open(path, head, reception.most_bytes));
    CK_TRY(want_manifest(stream, image->manifest_missing()));
    while (image->manifest_missing() > 0) {
      const wire::Message piece = CK_TRY(stream.receive(Kind::kManifestPiece));
      CK_TRY(image->add_manifest(std::as_bytes(std::span(piece.manifest_piece().bytes()))));
    }
    ChunkStore store(::geteuid());
    // What is on top of others has just what they have not.
    if (!(head.header.flags & image::kFlagIncremental)) reception.add_stores(store);
    CK_TRY(image->reuse(store));
    CK_TRY(send_needed(stream, *image));
    CK_TRY(receive_chunks(stream, *image));
  }
  if (reception.arrived) CK_TRY(reception.arrived(part, path));
  wire::Message finished;
  finished.mutable_finished();
  return stream.send(finished);
}

}  // namespace

Result<Sent> send_image(Stream& stream, const OutgoingImage& image, Part part,
                        const OnProgress& on_progress) {
  wire::Message message;
  wire::Head& head = *message.mutable_head();
  head.set_header(&image.head().header, sizeof image.head().header);
  head.set_footer(&image.head().footer, sizeof image.head().footer);
  head.set_early(part.early);
  head.set_files(part.files);
  CK_TRY(stream.send(message));
  message = CK_TRY(stream.receive(Kind::kManifestWanted));
  CK_TRY(send_manifest(stream, image, message.manifest_wanted().bytes()));
  const std::vector<ExtentRange> needed = CK_TRY(receive_needed(stream, image.extents().size()));
  Sent sent{image.head().footer.file_size};
  const auto begin = std::chrono::steady_clock::now();
  const std::uint64_t total = bytes_of(needed, image.extents());
  on_progress(0, total);
  CK_TRY(image.send(needed, [&](std::uint32_t index, std::span<const std::byte> bytes) -> Status {
    wire::Message chunk;
    chunk.mutable_chunk()->set_index(index);
    chunk.mutable_chunk()->set_bytes(bytes.data(), bytes.size());
    CK_TRY(stream.send(chunk));
    sent.sent_bytes += bytes.size();
    on_progress(sent.sent_bytes, total);
    return {};
  }));
  sent.took = std::chrono::steady_clock::now() - begin;
  CK_TRY(stream.receive(Kind::kFinished));
  return sent;
}

Status receive_images(Stream& stream, const Reception& reception) {
  for (;;) {
    Result<wire::Message> message = stream.receive();
    if (!message.ok() && message.error().kind == ErrorKind::kNotFound) return {};
    if (!message.ok()) return std::move(message).error();
    if (!message->has_head())
      return make_error(ErrorKind::kRefused, "a peer sends something else than an image's head");
    Status received = receive_image(stream, message->head(), reception);
    if (!received.ok()) {
      stream.fail(received.error());
      return received;
    }
  }
}

}  // namespace ck::driver::transfer
