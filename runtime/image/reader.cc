#include "runtime/image/reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <thread>

#include "runtime/base/unique_fd.h"
#include "runtime/image/bundle.h"
#include "runtime/image/format.h"
#include "runtime/image/threads.h"
#include "runtime/image/validate.h"

namespace ck::image {

namespace {

Error bad(std::string message, std::string hint = {}) {
  return make_error(ErrorKind::kBadImage, std::move(message), std::move(hint));
}

Status read_at(int fd, std::uint64_t offset, std::span<std::byte> into, const std::string& path) {
  while (!into.empty()) {
    const ssize_t done = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (done < 0) {
      if (errno == EINTR) continue;
      return sys_error("read " + path);
    }
    if (done == 0) return bad(path + " is truncated: it became shorter while it was read");
    into = into.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

// The image will be executed as the caller: nobody else may have had a hand in it.
Status check_owner(const struct stat& status, const std::string& path) {
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return make_error(ErrorKind::kPermission,
                      path + " belongs to another user (uid " + std::to_string(status.st_uid) + ")",
                      "an image runs with your rights: restart only your own");
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return make_error(ErrorKind::kPermission, path + " may be written by others",
                      "if you trust it: chmod go-w " + path);
  }
  return {};
}

// The decoder of a thread: made once, gone with the thread.
class Decoder {
 public:
  ~Decoder() { ZSTD_freeDCtx(context_); }
  std::span<std::byte> input(std::size_t size) {
    if (!input_) input_.reset(new (std::nothrow) std::byte[kChunkBytes]);
    return input_ ? std::span(input_.get(), size) : std::span<std::byte>();
  }
  // Whether `frame` is exactly `into`'s content.
  bool decompress(std::span<const std::byte> frame, std::span<std::byte> into) {
    if (context_ == nullptr) context_ = ZSTD_createDCtx();
    if (context_ == nullptr) return false;
    return ZSTD_decompressDCtx(context_, into.data(), into.size(), frame.data(), frame.size()) ==
           into.size();
  }

 private:
  ZSTD_DCtx* context_ = nullptr;
  std::unique_ptr<std::byte[]> input_;
};

class ImageReader final : public Reader {
 public:
  ImageReader(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  enum class Part { kAll, kRecords };
  Status load(bool require_owner, Part part);

  const std::string& path() const override { return path_; }
  int fd() const override { return fd_.get(); }
  const Manifest& manifest() const override { return manifest_; }
  std::uint64_t file_bytes() const override { return file_bytes_; }
  Hash128 manifest_hash() const override { return footer_.manifest_hash; }
  int parent_fd(std::size_t index) const override { return parents_[index].fd(); }
  Status read_chunk(std::size_t index, std::span<std::byte> into) const override;
  Result<VerifyReport> verify(unsigned threads, Progress* progress) const override;

 private:
  Status check_file(bool require_owner);
  Result<Footer> read_ends();
  Status parse_manifest(const Footer& footer, Part part);
  Status validate(std::uint64_t data_end) const;
  Status open_parents(bool require_owner);
  Error chunk_damaged(std::size_t index) const;

  std::string path_;
  UniqueFd fd_;
  std::uint64_t file_bytes_ = 0;
  Footer footer_{};
  Manifest manifest_;
  std::vector<ImageReader> parents_;  // their files alone, without a manifest
};

Status ImageReader::load(bool require_owner, Part part) {
  CK_TRY(check_file(require_owner));
  footer_ = CK_TRY(read_ends());
  CK_TRY(parse_manifest(footer_, part));
  Status status = validate(footer_.manifest_offset);
  if (!status.ok())
    return std::move(status).error().within("the manifest of " + path_ + " is invalid");
  return open_parents(require_owner);
}

Status ImageReader::open_parents(bool require_owner) {
  const std::string folder = path_.substr(0, path_.rfind('/') + 1);
  for (const ParentRecord& parent : manifest_.parents()) {
    const Hash128 hash{parent.hash_low(), parent.hash_high()};
    const std::string path = folder + parent_name(hash);
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd && errno == ENOENT)
      return bad(path_ + " is not whole: " + path + ", of which it holds the changes, is not there",
                 "an earlier generation may still be whole");
    if (!fd) return sys_error("open " + path);
    ImageReader& file = parents_.emplace_back(path, std::move(fd));
    CK_TRY(file.check_file(require_owner));
    file.footer_ = CK_TRY(file.read_ends());
    if (file.footer_.manifest_hash != hash)
      return bad(path + " is another image than its name says");
  }
  return {};
}

Status ImageReader::check_file(bool require_owner) {
  struct stat status;
  if (::fstat(fd(), &status) != 0) return sys_error("stat " + path_);
  if (!S_ISREG(status.st_mode)) return bad(path_ + " is not a regular file");
  if (require_owner) CK_TRY(check_owner(status, path_));
  file_bytes_ = static_cast<std::uint64_t>(status.st_size);
  return {};
}

Result<Footer> ImageReader::read_ends() {
  if (file_bytes_ == 0) return bad(path_ + " is truncated: it is empty");
  Header header{};
  const std::size_t present = std::min<std::uint64_t>(sizeof header, file_bytes_);
  CK_TRY(read_at(fd(), 0, std::as_writable_bytes(std::span(&header, 1)).first(present), path_));
  const std::size_t magic = std::min(present, sizeof header.magic);
  if (std::equal(header.magic, header.magic + magic, kHeaderMagic) &&
      file_bytes_ < sizeof(Header) + sizeof(Footer)) {
    return bad(path_ + " is truncated: only " + std::to_string(file_bytes_) + " bytes long");
  }
  CK_TRY(check_header(header, path_));
  Footer footer{};
  CK_TRY(read_at(fd(), file_bytes_ - sizeof footer, std::as_writable_bytes(std::span(&footer, 1)),
                 path_));
  CK_TRY(check_footer(footer, file_bytes_, path_));
  return footer;
}

Status ImageReader::parse_manifest(const Footer& footer, Part part) {
  std::string bytes;
  try {
    bytes.resize(footer.manifest_size);
  } catch (const std::bad_alloc&) {
    return sys_error("read the manifest of " + path_, ENOMEM);
  }
  CK_TRY(read_at(fd(), footer.manifest_offset, std::as_writable_bytes(std::span(bytes)), path_));
  if (hash128(std::as_bytes(std::span(bytes))) != footer.manifest_hash) {
    return bad("the manifest of " + path_ + " is damaged",
               "an earlier generation may still be whole");
  }
  std::string records;
  if (Status status = validate_serialised(bytes, part == Part::kRecords ? &records : nullptr);
      !status.ok()) {
    return std::move(status).error().within("the manifest of " + path_ + " is invalid");
  }
  if (!manifest_.ParseFromString(part == Part::kRecords ? records : bytes)) {
    return bad("the manifest of " + path_ + " is invalid: it cannot be parsed");
  }
  return {};
}

Status ImageReader::validate(std::uint64_t data_end) const {
  CK_TRY(validate_records(manifest_));
  ChunkValidator validator(manifest_, data_end);
  for (const ChunkRecord& chunk : manifest_.chunks()) CK_TRY(validator.check(chunk));
  return validate_no_overlap(manifest_);
}

Error ImageReader::chunk_damaged(std::size_t index) const {
  return bad("chunk " + std::to_string(index) + " of " + path_ + " is damaged",
             "an earlier generation may still be whole");
}

Status ImageReader::read_chunk(std::size_t index, std::span<std::byte> into) const {
  static thread_local Decoder decoder;
  CK_CHECK(index < static_cast<std::size_t>(manifest_.chunks_size()));
  const ChunkRecord& chunk = manifest_.chunks(static_cast<int>(index));
  CK_CHECK(into.size() >= chunk.raw_size());
  into = into.first(chunk.raw_size());
  const bool raw = chunk.codec() == static_cast<std::uint32_t>(Codec::kRaw);
  const std::span<std::byte> stored = raw ? into : decoder.input(chunk.stored_size());
  if (stored.empty()) return sys_error("read " + path_, ENOMEM);
  const ImageReader& file = chunk.file() == 0 ? *this : parents_[chunk.file() - 1];
  CK_TRY(read_at(file.fd(), chunk.offset(), stored, file.path_));
  if (hash128(stored) != Hash128{chunk.hash_low(), chunk.hash_high()}) return chunk_damaged(index);
  if (!raw && !decoder.decompress(stored, into)) return chunk_damaged(index);
  return {};
}

// What the threads of one verify() share.
struct Verification {
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> bytes{0};
  std::mutex mutex;
  std::size_t first_bad = SIZE_MAX;
  std::optional<Error> error;

  void fail(std::size_t index, Error what) {
    const std::lock_guard lock(mutex);
    if (index < first_bad) {
      first_bad = index;
      error = std::move(what);
    }
    next = SIZE_MAX / 2;
  }
};

Result<VerifyReport> ImageReader::verify(unsigned threads, Progress* progress) const {
  const auto count = static_cast<std::size_t>(manifest_.chunks_size());
  std::uint64_t total = 0;
  for (const ChunkRecord& chunk : manifest_.chunks()) total += chunk.raw_size();
  if (progress != nullptr) progress->begin("verify", total);
  Verification shared;
  const auto body = [&](unsigned) {
    const auto content = std::make_unique_for_overwrite<std::byte[]>(kChunkBytes);
    for (std::size_t i; (i = shared.next++) < count;) {
      Status status = read_chunk(i, {content.get(), kChunkBytes});
      if (!status.ok()) return shared.fail(i, std::move(status).error());
      const std::uint32_t size = manifest_.chunks(static_cast<int>(i)).raw_size();
      shared.bytes += size;
      if (progress != nullptr) progress->advance(size);
    }
  };
  {
    std::vector<std::jthread> workers;
    const std::size_t useful = std::clamp<std::size_t>(count, 1, thread_count(threads));
    CK_TRY(start_threads(static_cast<unsigned>(useful), body, workers));
  }
  if (shared.error) return *shared.error;
  return VerifyReport{count, shared.bytes};
}

}  // namespace

bool is_bundle(const Manifest& manifest) {
  return manifest.writer() == kBundleWriter;
}

namespace {

Result<std::unique_ptr<Reader>> open_part(const std::string& path, bool require_owner,
                                          ImageReader::Part part) {
  // Not blocking: the path may turn out to be a FIFO.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return sys_error("open " + path);
  auto reader = std::make_unique<ImageReader>(path, std::move(fd));
  CK_TRY(reader->load(require_owner, part));
  return std::unique_ptr<Reader>(std::move(reader));
}

Result<std::unique_ptr<Reader>> open_job(const std::string& path, bool require_owner,
                                         ImageReader::Part part) {
  std::unique_ptr<Reader> reader = CK_TRY(open_part(path, require_owner, part));
  if (!is_bundle(reader->manifest())) return reader;
  return bad(path + " holds files, and no job");
}

}  // namespace

Result<std::unique_ptr<Reader>> open_image_or_bundle(const std::string& path, bool require_owner) {
  return open_part(path, require_owner, ImageReader::Part::kAll);
}

Result<std::unique_ptr<Reader>> open_bundle(const std::string& path) {
  std::unique_ptr<Reader> reader = CK_TRY(open_image_or_bundle(path, true));
  if (is_bundle(reader->manifest())) return reader;
  return bad(path + " is an image of a job, and no bundle of files");
}

Result<std::unique_ptr<Reader>> Reader::open(const std::string& path, bool require_owner) {
  return open_job(path, require_owner, ImageReader::Part::kAll);
}

Result<std::unique_ptr<Reader>> Reader::open_records(const std::string& path, bool require_owner) {
  return open_job(path, require_owner, ImageReader::Part::kRecords);
}

}  // namespace ck::image
