// PageBuffer: memory straight from the kernel, given back to it at once. The writer's buffers live
// in these so that what it uses is known and gone after a checkpoint. Move-only; any thread.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <utility>

#include "runtime/base/result.h"

namespace ck::image {

class PageBuffer {
 public:
  static Result<PageBuffer> create(std::size_t bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
      return sys_error("reserve a buffer of " + std::to_string(bytes) + " bytes");
    return PageBuffer(static_cast<std::byte*>(at), bytes);
  }
  PageBuffer() = default;
  PageBuffer(PageBuffer&& other) noexcept
      : at_(std::exchange(other.at_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  PageBuffer& operator=(PageBuffer&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~PageBuffer() {
    if (at_ != nullptr) ::munmap(at_, size_);
  }

  std::byte* data() const { return at_; }
  std::size_t size() const { return size_; }
  std::span<std::byte> span() const { return {at_, size_}; }

 private:
  PageBuffer(std::byte* at, std::size_t size) : at_(at), size_(size) {}
  std::byte* at_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ck::image
