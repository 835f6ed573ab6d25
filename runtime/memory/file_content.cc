#include "runtime/memory/file_content.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace ck::memory {
namespace {

constexpr std::uint64_t kPage = 4096;

// Offsets of file systems with small blocks are no multiples of a page.
void add_aligned(std::vector<image::Run>& runs, std::uint64_t begin, std::uint64_t end,
                 std::uint64_t size) {
  begin -= begin % kPage;
  end = std::min((end + kPage - 1) / kPage * kPage, size);
  if (begin >= end) return;
  if (!runs.empty() && runs.back().begin + runs.back().length >= begin) {
    runs.back().length = std::max(runs.back().begin + runs.back().length, end) - runs.back().begin;
  } else {
    runs.push_back({begin, end - begin});
  }
}

// How far the kernel copied before it gave up: file systems differ in what they can.
std::uint64_t copy_in_kernel(int from, int to, image::Run run) {
  auto in = static_cast<off64_t>(run.begin), out = in;
  std::uint64_t done = 0;
  while (done < run.length) {
    ssize_t copied = ::copy_file_range(from, &in, to, &out, run.length - done, 0);
    if (copied <= 0) break;
    done += static_cast<std::uint64_t>(copied);
  }
  return done;
}

}  // namespace

Status FileSource::read(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    ssize_t got = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sys_error("read " + name_ + " at " + std::to_string(offset));
    if (got == 0)
      return make_error(ErrorKind::kTryAgain, name_ + " became shorter while it was read");
    offset += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Status write_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return sys_error("write a file's content at " + std::to_string(offset));
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Result<std::vector<image::Run>> data_runs(int fd, std::uint64_t size) {
  std::vector<image::Run> runs;
  // The duplicate shares its position with the program's descriptor.
  const off_t position = ::lseek(fd, 0, SEEK_CUR);
  std::uint64_t at = 0;
  while (at < size) {
    off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) {
      ::lseek(fd, position, SEEK_SET);
      return sys_error("find the data in a file");
    }
    off_t hole = ::lseek(fd, data, SEEK_HOLE);
    auto end = hole < 0 ? size : static_cast<std::uint64_t>(hole);
    add_aligned(runs, static_cast<std::uint64_t>(data), end, size);
    if (end <= at) break;
    at = end;
  }
  ::lseek(fd, position, SEEK_SET);
  return runs;
}

Status copy_runs(const image::ByteSource& from, int to, const std::vector<image::Run>& runs) {
  std::vector<std::byte> buffer(1 << 20);
  for (image::Run run : runs) {
    while (run.length > 0) {
      auto part = std::span(buffer).first(std::min<std::uint64_t>(run.length, buffer.size()));
      CK_TRY(from.read(run.begin, part));
      CK_TRY(write_at(to, run.begin, part));
      run.begin += part.size();
      run.length -= part.size();
    }
  }
  return {};
}

Status copy_runs(int from, int to, const std::vector<image::Run>& runs) {
  if (::ioctl(to, FICLONE, from) == 0) return {};
  std::vector<image::Run> rest;
  for (image::Run run : runs) {
    std::uint64_t done = copy_in_kernel(from, to, run);
    if (done < run.length) rest.push_back({run.begin + done, run.length - done});
  }
  return copy_runs(FileSource(from), to, rest);
}

}  // namespace ck::memory
