#include "runtime/capture/program_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/unique_fd.h"
#include "runtime/memory/read_memory.h"

namespace ck::capture {

namespace {

// Reads an open file.
class FileSource : public image::ByteSource {
 public:
  FileSource(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t count = ::pread(fd_.get(), into.data() + done, into.size() - done,
                                    static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return sys_error("read " + path_);
      if (count == 0)
        return make_error(ErrorKind::kTryAgain, path_ + " became shorter while it was read");
      done += static_cast<std::size_t>(count);
    }
    return {};
  }

 private:
  UniqueFd fd_;
  std::string path_;
};

}  // namespace

// Programs and libraries go along whole, so that the image restarts where they differ or are
// absent.
Status ProgramFiles::write(image::Writer& writer, image::Manifest& manifest) {
  for (int index = 0; index < manifest.objects_size(); ++index) {
    image::ObjectRecord& object = *manifest.mutable_objects(index);
    if (object.kind() != image::ObjectRecord::PATH || !object.executable_mapped() ||
        object.has_content())
      continue;
    UniqueFd fd(::open(object.path().c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    // Unreadable (execute-only) or replaced meanwhile: the restart then needs the very file.
    if (!fd || ::fstat(fd.get(), &status) != 0 || status.st_ino != object.inode() ||
        static_cast<std::uint64_t>(status.st_size) != object.size())
      continue;
    object.set_has_content(true);
    sources_.push_back(std::make_unique<FileSource>(std::move(fd), object.path()));
    memory::ChunkFeeder feeder(writer,
                               {image::StreamId::Kind::kObject, static_cast<std::uint32_t>(index)},
                               *sources_.back());
    CK_TRY(feeder.add(0, object.size()));
    CK_TRY(feeder.flush());
  }
  return {};
}

}  // namespace ck::capture
