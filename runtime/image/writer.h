// Writes one image, front to back: header, chunks, manifest, footer (format.h). Until commit() the
// image has a temporary name; a reader sees a whole image or none. Engine only; add() from one
// thread at a time, the work is done by the writer's own threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/format.h"
#include "runtime/image/image.pb.h"

namespace ck::image {

inline constexpr std::size_t kChunkBytes = 1 << 20;

enum class Codec : std::uint32_t { kRaw = 0, kZstd = 1 };

// What a chunk belongs to: the memory of a process (address space) or the content of an object.
// Packed in ChunkRecord.stream.
struct StreamId {
  enum class Kind : std::uint32_t { kMemory = 0, kObject = 1 };
  Kind kind = Kind::kMemory;
  std::uint32_t index = 0;  // in Manifest.processes or Manifest.objects
  std::uint32_t packed() const { return static_cast<std::uint32_t>(kind) << 31 | index; }
  static StreamId unpack(std::uint32_t value) {
    return {static_cast<Kind>(value >> 31), value & 0x7fffffffu};
  }
  bool operator==(const StreamId&) const = default;
};

// Where bytes come from; read() is called from several threads at once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `into` with the bytes at `offset`; short reads are errors.
  virtual Status read(std::uint64_t offset, std::span<std::byte> into) const = 0;
};

struct Run {
  std::uint64_t begin = 0;   // address or file offset
  std::uint64_t length = 0;  // bytes
};

class Basis;

struct WriterOptions {
  Codec codec = Codec::kZstd;
  int level = 1;
  unsigned threads = 0;                // 0: one a core
  std::shared_ptr<const Basis> basis;  // the image will be incremental; null: whole
};

// What becomes of pages of zeros. A page that is left out reads as zero after a restore only where
// nothing else is underneath: anonymous memory and objects. In a private file mapping the file's
// content would show instead, so pages written there must be kept (they compress to nothing).
enum class ZeroPages { kLeaveOut, kKeep };

// Told now and then from any thread: bytes of input done so far. Must be cheap and thread-safe.
class Progress {
 public:
  virtual ~Progress() = default;
  virtual void begin(const char* what, std::uint64_t total_bytes) = 0;
  virtual void advance(std::uint64_t bytes) = 0;
};

struct WriteReport {
  std::uint64_t bytes_in = 0;    // read from the sources
  std::uint64_t zero_bytes = 0;  // of these, left out
  std::uint64_t duplicate_bytes = 0;
  std::uint64_t kept_bytes = 0;   // not read: as in the basis
  std::uint64_t image_bytes = 0;  // size of the file
};

class Writer {
 public:
  // `final_path`: in an existing directory; must not exist at commit().
  static Result<std::unique_ptr<Writer>> create(const std::string& final_path,
                                                const WriterOptions& options,
                                                Progress* progress = nullptr);
  // Without commit() the temporary file is removed.
  virtual ~Writer() = default;

  // Queues runs (multiples of 4096 bytes except an object's last one; in order; at most kChunkBytes
  // together) for reading, zero elimination, compression and writing. `source` must stay valid
  // until finish_chunks(). Blocks while the queue is full, so memory stays bounded. Returns the
  // first error that any worker has met.
  virtual Status add(StreamId stream, const ByteSource& source, std::vector<Run> runs,
                     ZeroPages zeros = ZeroPages::kLeaveOut) = 0;

  // Runs (in order) that are what they are in stream `as` of the basis, which there must be.
  virtual Status keep(StreamId stream, StreamId as, const std::vector<Run>& runs) = 0;

  // Waits until all that was added is written. Sources may go after that.
  virtual Status finish_chunks() = 0;

  // Adds the chunk index to `manifest`, writes manifest and footer, fsyncs, renames, fsyncs the
  // folder. `before_rename` is the caller's last word (the incarnation check); its error aborts.
  virtual Result<WriteReport> commit(Manifest manifest,
                                     const std::function<Status()>& before_rename = {}) = 0;
  // After commit().
  virtual Hash128 manifest_hash() const = 0;
};

}  // namespace ck::image
