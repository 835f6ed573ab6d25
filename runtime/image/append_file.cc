#include "runtime/image/append_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "runtime/image/format.h"

namespace ck::image {

namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kDirectBytes = 256 << 10;  // larger pieces are not copied
constexpr std::uint64_t kWritebackBytes = 8 << 20;

// Over RLIMIT_FSIZE the kernel sends SIGXFSZ to the writing thread, besides EFBIG: it would end the
// supervisor. Holds it back, and takes it away, for a scope.
class NoFileSizeSignal {
 public:
  NoFileSizeSignal() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set_, &old_);
  }
  ~NoFileSizeSignal() {
    const timespec now{};
    if (sigismember(&old_, SIGXFSZ) == 0) {
      while (sigtimedwait(&set_, nullptr, &now) == SIGXFSZ) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }
  NoFileSizeSignal(const NoFileSizeSignal&) = delete;
  NoFileSizeSignal& operator=(const NoFileSizeSignal&) = delete;

 private:
  sigset_t set_;
  sigset_t old_;
};

// Returns 0 or errno. `at` moves on by what was written.
int write_all(int fd, iovec (&pieces)[2], std::uint64_t& at) {
  int first = 0;
  while (first < 2) {
    if (pieces[first].iov_len == 0) {
      ++first;
      continue;
    }
    ssize_t done = ::pwritev(fd, pieces + first, 2 - first, static_cast<off_t>(at));
    if (done < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    at += static_cast<std::uint64_t>(done);
    for (int i = first; i < 2; ++i) {
      const std::size_t part = std::min(static_cast<std::size_t>(done), pieces[i].iov_len);
      pieces[i].iov_base = static_cast<char*>(pieces[i].iov_base) + part;
      pieces[i].iov_len -= part;
      done -= static_cast<ssize_t>(part);
    }
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<AppendFile>> AppendFile::create(int fd, std::string name) {
  std::unique_ptr<AppendFile> file(new AppendFile(fd, std::move(name)));
  file->buffer_ = CK_TRY(PageBuffer::create(kBufferBytes + kPageBytes));
  return file;
}

Result<std::uint64_t> AppendFile::append(std::span<const std::byte> bytes,
                                         std::uint64_t alignment) {
  Result<std::uint64_t> offset = append_locked(bytes, alignment);
  if (offset.ok()) start_writeback();
  return offset;
}

Result<std::uint64_t> AppendFile::append_locked(std::span<const std::byte> bytes,
                                                std::uint64_t alignment) {
  const std::lock_guard lock(mutex_);
  if (failure_) return *failure_;
  const std::size_t padding = -end_ & (alignment - 1);
  std::memset(buffer_.data() + used_, 0, padding);  // the buffer has room for it beyond its size
  used_ += padding;
  end_ += padding;
  const std::uint64_t offset = end_;
  if (bytes.size() < kDirectBytes && used_ + bytes.size() <= kBufferBytes) {
    if (!bytes.empty()) std::memcpy(buffer_.data() + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
    end_ += bytes.size();
  } else {
    CK_TRY(write_out(bytes));
    end_ = written_;
  }
  return offset;
}

Status AppendFile::write_out(std::span<const std::byte> after_buffer) {
  const NoFileSizeSignal held_back;
  const std::uint64_t goal = written_ + used_ + after_buffer.size();
  iovec pieces[2] = {{buffer_.data(), used_},
                     {const_cast<std::byte*>(after_buffer.data()), after_buffer.size()}};
  if (int errnum = write_all(fd_, pieces, written_); errnum != 0) {
    failure_ = write_error(errnum, goal - written_);
    return *failure_;
  }
  used_ = 0;
  return {};
}

Status AppendFile::flush() {
  const std::lock_guard lock(mutex_);
  if (failure_) return *failure_;
  return write_out({});
}

std::uint64_t AppendFile::size() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

void AppendFile::start_writeback() {
  std::uint64_t begin = 0;
  std::uint64_t length = 0;
  {
    const std::lock_guard lock(mutex_);
    if (written_ - writeback_ < kWritebackBytes) return;
    begin = writeback_;
    length = (written_ - begin) & ~(kPageBytes - 1);
    writeback_ += length;
  }
  // May wait for the disk, so not under the lock. Only a hint: fsync reports what goes wrong.
  ::sync_file_range(fd_, static_cast<off_t>(begin), static_cast<off_t>(length),
                    SYNC_FILE_RANGE_WRITE);
}

Error AppendFile::write_error(int errnum, std::uint64_t more) const {
  Error error = sys_error("cannot write " + name_, errnum);
  error.kind = ErrorKind::kCannotWrite;
  error.message += ": the image needs more than " + human_bytes(written_ + more);
  struct statvfs file_system;
  if (::fstatvfs(fd_, &file_system) == 0) {
    error.message += ", " + human_bytes(file_system.f_bavail * file_system.f_frsize) +
                     " are free in its file system";
  }
  switch (errnum) {
    case ENOSPC:
      error.hint = "free some space, keep fewer generations, or choose another folder with --dir";
      break;
    case EDQUOT:
      error.hint = "the disk quota is used up: free some space or choose another folder with --dir";
      break;
    case EFBIG:
      error.hint = "the limit on file sizes is lower: raise it with ulimit -f";
      break;
    default:
      error.hint = "choose another folder with --dir";
      break;
  }
  return error;
}

}  // namespace ck::image
