#include "driver/transfer/file_io.h"

#include <unistd.h>

namespace ck::driver::transfer {

Status read_at(int fd, std::uint64_t offset, std::span<std::byte> into, const std::string& path) {
  while (!into.empty()) {
    const ssize_t done = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (done < 0) {
      if (errno == EINTR) continue;
      return sys_error("read " + path);
    }
    if (done == 0) return make_error(ErrorKind::kBadImage, path + " is truncated");
    into = into.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

Status write_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes,
                const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0) {
      if (errno == EINTR) continue;
      Error error = sys_error("write " + path);
      error.kind = ErrorKind::kCannotWrite;
      return error;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

}  // namespace ck::driver::transfer
