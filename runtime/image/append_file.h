// AppendFile: the growing end of an image, shared by the writer's threads. Gathers small pieces,
// writes large ones at once, and starts the kernel's writeback early so that the final fsync is
// short. Does not own the descriptor. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "runtime/base/result.h"
#include "runtime/image/page_buffer.h"

namespace ck::image {

class AppendFile {
 public:
  // `name`: what messages call the file.
  static Result<std::unique_ptr<AppendFile>> create(int fd, std::string name);

  // Appends `bytes` at the next multiple of `alignment` (a power of two up to 4096) and returns
  // that offset. After a failure every later call fails in the same way.
  Result<std::uint64_t> append(std::span<const std::byte> bytes, std::uint64_t alignment = 1);
  Status flush();
  std::uint64_t size() const;

 private:
  AppendFile(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  Result<std::uint64_t> append_locked(std::span<const std::byte> bytes, std::uint64_t alignment);
  Status write_out(std::span<const std::byte> after_buffer);
  void start_writeback();
  Error write_error(int errnum, std::uint64_t more) const;

  const int fd_;
  const std::string name_;
  mutable std::mutex mutex_;
  PageBuffer buffer_;  // what lies between written_ and end_
  std::size_t used_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t writeback_ = 0;  // up to here writeback was started
  std::optional<Error> failure_;
};

}  // namespace ck::image
