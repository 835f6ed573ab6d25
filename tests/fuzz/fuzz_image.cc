// Fuzzes the image reader: whatever the file holds, it is refused with an Error or read; and what
// the reader accepts, the plan of the process tree can be made of.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/image/reader.h"
#include "runtime/restore/tree_plan.h"
#include "tests/fuzz/image_input.h"

namespace {

constexpr std::uint64_t kLargestChunk = 1 << 20;

// One file for the life of the process, without a name in the end.
class File {
 public:
  File() : fd_(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) {
    if (!fd_) ::abort();
    path_ = "/proc/self/fd/" + std::to_string(fd_.get());
  }
  const std::string& path() const { return path_; }
  void set(const std::string& content) const {
    if (::ftruncate(fd_.get(), 0) != 0 || ::pwrite(fd_.get(), content.data(), content.size(), 0) !=
                                              static_cast<ssize_t>(content.size()))
      ::abort();
  }

 private:
  ck::UniqueFd fd_;
  std::string path_;
};

void read_chunks(const ck::image::Reader& reader) {
  std::vector<std::byte> bytes;
  for (int i = 0; i < reader.manifest().chunks_size(); ++i) {
    const std::uint64_t size = reader.manifest().chunks(i).raw_size();
    if (size > kLargestChunk) continue;
    bytes.resize(size);
    (void)reader.read_chunk(static_cast<std::size_t>(i), bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const File file;
  file.set(ck::fuzz::image_of_input({data, size}));
  const auto reader = ck::image::Reader::open(file.path(), true);
  if (!reader.ok()) return 0;
  read_chunks(**reader);
  if ((*reader)->manifest().processes_size() > 0)
    if (const auto plan = ck::restore::plan_tree((*reader)->manifest(), {}); plan.ok())
      (void)ck::restore::describe(*plan);
  return 0;
}
