// The contents behind descriptors and file mappings, found once each by device and inode: shared by
// the capture of memory and of descriptors. Contents that only the image will keep (unlinked files,
// memfd, shared memory) are frozen here, so that they can be written while the job runs again.
// Engine thread only.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/image.pb.h"
#include "runtime/image/writer.h"

namespace ck::memory {

class ObjectTable {
 public:
  enum class Purpose {
    kLive,    // the job goes on: contents are copied now
    kEnded,   // it never runs again (ckpt --stop): contents are read where they are
    kSurvey,  // nothing will be written
  };
  using Key = std::pair<dev_t, ino_t>;
  // Adds to `manifest`.objects; what is there already is found by its device and inode. `spool`: a
  // folder on disk, where contents too large for memory are copied to (the image's).
  ObjectTable(Purpose purpose, image::Manifest& manifest, std::string spool);

  // All of these return the object's index plus 1, as records name it.
  //
  // The file that `fd` is open on; `shown` is its name in /proc/PID/fd, with " (deleted)". `fd` may
  // be -1 in a survey. Content is frozen where the path does not lead to it.
  Result<std::uint32_t> add_file(const struct stat& status, int fd, std::string_view shown);
  // A mapped file by path. The path must lead to it.
  Result<std::uint32_t> add_path(dev_t device, ino_t inode, const std::string& path);
  // Memory shared by mapping alone. Content by freeze_content().
  std::uint32_t add_shared_memory(dev_t device, ino_t inode, std::uint64_t size);
  // A segment of System V shared memory. Content by freeze_content().
  std::uint32_t add_system_v(int id, std::uint64_t size);
  std::uint32_t find_system_v(int id) const;
  // The content of a file by path goes along too. The path must lead to it.
  Status keep_content(std::uint32_t index);
  // 0: not there.
  std::uint32_t find(dev_t device, ino_t inode) const;

  image::ObjectRecord& record(std::uint32_t index) {
    return *manifest_.mutable_objects(static_cast<int>(index) - 1);
  }

  // Copies `runs` of `source` now.
  Status freeze_content(std::uint32_t index, const image::ByteSource& source,
                        const std::vector<image::Run>& runs);

  // Hands all contents to the writer; the table must stay until finish_chunks().
  Status write_contents(image::Writer& writer) const;
  std::uint64_t content_bytes() const;

 private:
  struct Content {
    UniqueFd file;
    std::vector<image::Run> runs;
    std::unique_ptr<image::ByteSource> source;
  };

  std::uint32_t append(Key key, image::ObjectRecord record);
  Status freeze_file(std::uint32_t index, int fd);
  Result<UniqueFd> new_copy(std::uint64_t bytes, std::uint64_t size);
  void keep(std::uint32_t index, UniqueFd content, std::vector<image::Run> runs);

  Purpose purpose_;
  std::string spool_;
  std::uint64_t in_memory_ = 0;
  image::Manifest& manifest_;
  std::map<std::uint32_t, Content> contents_;  // by index plus 1
  std::map<Key, std::uint32_t> index_of_;
};

}  // namespace ck::memory
