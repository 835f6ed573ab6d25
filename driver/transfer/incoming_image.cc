#include "driver/transfer/incoming_image.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "driver/transfer/file_io.h"
#include "runtime/image/bundle.h"
#include "runtime/image/writer.h"

namespace ck::driver::transfer {

namespace {

constexpr std::uint64_t kWritebackBytes = 8 << 20;

Error cannot_write(const std::string& what) {
  Error error = sys_error(what);
  if (error.kind == ErrorKind::kSystem) error.kind = ErrorKind::kCannotWrite;
  return error;
}

Error not_asked_for(const std::string& what) {
  return make_error(ErrorKind::kRefused, "a peer sends " + what);
}

Status rename_to_free_name(const std::string& from, const std::string& to) {
  int failed = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
  if (failed != 0 && (errno == EINVAL || errno == ENOSYS)) {  // NFS and others know only link
    failed = ::link(from.c_str(), to.c_str());
    if (failed == 0) ::unlink(from.c_str());
  }
  if (failed != 0) return cannot_write("rename " + from + " to " + to);
  return {};
}

Status sync_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("open " + folder);
  // Some network file systems cannot sync a folder, and need not.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return cannot_write("fsync " + folder);
  return {};
}

}  // namespace

Result<std::unique_ptr<IncomingImage>> IncomingImage::open(const std::string& path,
                                                           const ImageHead& head,
                                                           std::uint64_t limit) {
  CK_TRY(image::check_header(head.header, "the image that is offered"));
  CK_TRY(image::check_footer(head.footer, head.footer.file_size, "the image that is offered"));
  if (head.footer.file_size > limit) {
    return make_error(ErrorKind::kRefused, "the image that is offered is too large: " +
                                               image::human_bytes(head.footer.file_size));
  }
  std::unique_ptr<IncomingImage> image(new IncomingImage(path, head));
  CK_TRY(image->open_part());
  if (CK_TRY(image->same_head())) {
    if (image->take_manifest(true).ok()) return image;
  }
  CK_TRY(image->begin_part());
  return image;
}

Status IncomingImage::open_part() {
  fd_.reset(::open(part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd_) return cannot_write("open " + part_);
  struct stat status;
  if (::fstat(fd_.get(), &status) != 0) return sys_error("stat " + part_);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || status.st_nlink != 1) {
    return make_error(ErrorKind::kPermission, part_ + " is not a file of this user's own",
                      "find out who has made it, and remove it");
  }
  if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return make_error(ErrorKind::kTryAgain, part_ + " is being received already");
    return sys_error("lock " + part_);
  }
  if (::fchmod(fd_.get(), 0600) != 0) return cannot_write("set the mode of " + part_);
  return {};
}

// Whether the file holds a part of this very image.
Result<bool> IncomingImage::same_head() const {
  struct stat status;
  if (::fstat(fd_.get(), &status) != 0) return sys_error("stat " + part_);
  if (static_cast<std::uint64_t>(status.st_size) != head_.footer.file_size) return false;
  ImageHead found{};
  CK_TRY(read_at(fd_.get(), 0, std::as_writable_bytes(std::span(&found.header, 1)), part_));
  CK_TRY(read_at(fd_.get(), head_.footer.file_size - sizeof found.footer,
                 std::as_writable_bytes(std::span(&found.footer, 1)), part_));
  return std::memcmp(&found, &head_, sizeof found) == 0;
}

Status IncomingImage::begin_part() {
  const std::uint64_t size = head_.footer.file_size;
  if (::ftruncate(fd_.get(), 0) != 0) return cannot_write("empty " + part_);
  if (::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)) != 0) {
    const bool cannot = errno == EOPNOTSUPP || errno == ENOSYS;
    if (!cannot) {
      Error error = cannot_write("reserve " + image::human_bytes(size) + " for " + part_);
      ::unlink(part_.c_str());
      return error;
    }
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
      return cannot_write("resize " + part_);
  }
  extents_.clear();
  present_.clear();
  manifest_missing_ = head_.footer.manifest_size;
  if (manifest_missing_ == 0) return take_manifest(false);
  return {};
}

Status IncomingImage::add_manifest(std::span<const std::byte> bytes) {
  if (bytes.size() > manifest_missing_) return not_asked_for("more than the manifest");
  const ImageHead& head = head_;
  const std::uint64_t done = head.footer.manifest_size - manifest_missing_;
  CK_TRY(write_at(fd_.get(), head.footer.manifest_offset + done, bytes, part_));
  manifest_missing_ -= bytes.size();
  if (manifest_missing_ > 0) return {};
  // Last, so that a file with these has its manifest: a cut before begins anew.
  CK_TRY(write_at(fd_.get(), 0, std::as_bytes(std::span(&head.header, 1)), part_));
  CK_TRY(write_at(fd_.get(), head.footer.file_size - sizeof head.footer,
                  std::as_bytes(std::span(&head.footer, 1)), part_));
  return take_manifest(false);
}

// The reader checks all of the structure; the chunks are not there yet, or not known to be.
Status IncomingImage::take_manifest(bool resumed) {
  const std::unique_ptr<image::Reader> reader = CK_TRY(image::open_image_or_bundle(part_, true));
  extents_ = CK_TRY(extents_of(reader->manifest()));
  present_.assign(extents_.size(), false);
  needed_bytes_ = 0;
  for (const Extent& extent : extents_) needed_bytes_ += extent.size;
  manifest_missing_ = 0;
  if (resumed) take_present();
  return {};
}

// After a crash the content is the only thing that tells what is on disk.
void IncomingImage::take_present() {
  std::vector<std::byte> buffer;
  for (std::size_t i = 0; i < extents_.size(); ++i) {
    buffer.resize(extents_[i].size);
    if (!read_at(fd_.get(), extents_[i].offset, buffer, part_).ok()) continue;
    if (image::hash128(buffer) != extents_[i].hash) continue;
    present_[i] = true;
    needed_bytes_ -= extents_[i].size;
  }
}

Result<std::uint64_t> IncomingImage::reuse(const ChunkStore& store) {
  CK_CHECK(manifest_missing_ == 0);
  const std::uint64_t before = needed_bytes_;
  std::vector<std::byte> buffer;
  for (std::size_t i = 0; i < extents_.size(); ++i) {
    if (present_[i]) continue;
    buffer.resize(extents_[i].size);
    if (store.read(extents_[i], buffer)) CK_TRY(this->store(i, buffer));
  }
  return before - needed_bytes_;
}

std::vector<ExtentRange> IncomingImage::needed() const {
  std::vector<ExtentRange> ranges;
  for (std::size_t i = 0; i < present_.size(); ++i) {
    if (present_[i]) continue;
    if (i > 0 && !present_[i - 1]) {
      ++ranges.back().count;
    } else {
      ranges.push_back({static_cast<std::uint32_t>(i), 1});
    }
  }
  return ranges;
}

Status IncomingImage::add(std::uint64_t index, std::span<const std::byte> bytes) {
  if (manifest_missing_ > 0) return not_asked_for("chunks before the manifest");
  if (index >= extents_.size()) return not_asked_for("a chunk that the image does not have");
  if (present_[index]) return {};
  if (bytes.size() != extents_[index].size || image::hash128(bytes) != extents_[index].hash)
    return not_asked_for("a chunk that is not what the image says");
  return store(index, bytes);
}

Status IncomingImage::store(std::size_t index, std::span<const std::byte> bytes) {
  CK_TRY(write_at(fd_.get(), extents_[index].offset, bytes, part_));
  present_[index] = true;
  needed_bytes_ -= bytes.size();
  unwritten_ += bytes.size();
  if (unwritten_ >= kWritebackBytes) {
    // Only a hint, so that the fsync at the end, when the job stands still, is short.
    ::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    unwritten_ = 0;
  }
  return {};
}

Status IncomingImage::finish(const std::function<Status()>& before_rename) {
  if (manifest_missing_ > 0 || needed_bytes_ > 0)
    return make_error(ErrorKind::kRefused, "the image is not complete: " +
                                               image::human_bytes(needed_bytes_) + " are missing");
  if (::fsync(fd_.get()) != 0) return cannot_write("fsync " + part_);
  if (before_rename) CK_TRY(before_rename());
  CK_TRY(rename_to_free_name(part_, path_));
  return sync_folder_of(path_);
}

Status IncomingImage::discard() {
  if (::unlink(part_.c_str()) != 0 && errno != ENOENT) return sys_error("remove " + part_);
  return sync_folder_of(part_);
}

}  // namespace ck::driver::transfer
