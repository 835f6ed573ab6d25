// Bytes of open files: where they are, and copying them. Any thread.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/writer.h"

namespace ck::memory {

// An open file as a source. Does not own `fd`; `name` is what errors call it.
class FileSource : public image::ByteSource {
 public:
  explicit FileSource(int fd, std::string name = "a file") : fd_(fd), name_(std::move(name)) {}
  Status read(std::uint64_t offset, std::span<std::byte> into) const override;

 private:
  int fd_;
  std::string name_;
};

// Where the file has data: whole pages except at its end, merged, holes left out.
Result<std::vector<image::Run>> data_runs(int fd, std::uint64_t size);

// Copies the runs to the same offsets, by a reflink or in the kernel where the file systems can.
Status copy_runs(int from, int to, const std::vector<image::Run>& runs);
Status copy_runs(const image::ByteSource& from, int to, const std::vector<image::Run>& runs);

Status write_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes);

}  // namespace ck::memory
