// The files behind the image's mappings: the one on disk where it is still the same, else what the
// image keeps of it. Main thread only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/image/reader.h"
#include "runtime/memory/restored_objects.h"
#include "runtime/proc/mailbox.h"

namespace ck::restore {

class MappedFiles {
 public:
  MappedFiles(const image::Reader& reader, memory::RestoredObjects& objects, int channel,
              int channel_fd, std::vector<std::string>& warnings)
      : reader_(reader),
        objects_(objects),
        channel_(channel),
        channel_fd_(channel_fd),
        warnings_(warnings) {}

  // For another process, in which nothing is open yet.
  MappedFiles with_none_open() const {
    MappedFiles files = *this;
    files.open_.clear();
    return files;
  }

  // A descriptor in the process for object `index` (plus 1) that `mapping` can be made with.
  Result<int> descriptor(proc::Mailbox& box, std::uint32_t index,
                         const image::MappingRecord& mapping);

  // The id of the segment of System V shared memory that object `index` (plus 1) is; else -1.
  int system_v_segment(std::uint32_t index) const;

  // The read-only descriptor in the process that a file by this path was mapped with, or -1.
  int descriptor_of(const std::string& path) const;

 private:
  Result<int> open_path(proc::Mailbox& box, std::uint32_t index, bool writable);
  Result<int> from_image(proc::Mailbox& box, std::uint32_t index, bool writable);
  Status check_same(std::uint32_t index, const image::MappingRecord& mapping, bool& same);
  Result<bool> has_same_content(std::uint32_t index) const;

  const image::Reader& reader_;
  memory::RestoredObjects& objects_;
  int channel_;
  int channel_fd_;
  std::vector<std::string>& warnings_;
  std::map<std::pair<std::uint32_t, bool>, int>
      open_;  // (object, writable) -> number in the process
  std::map<std::uint32_t, bool> same_;
};

}  // namespace ck::restore
