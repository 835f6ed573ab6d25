#include "runtime/capture/program_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/memory/read_memory.h"

namespace ck::capture {

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
    const memory::FileSource source(fd.get(), object.path());
    files_.push_back({std::move(fd), source});
    memory::ChunkFeeder feeder(writer,
                               {image::StreamId::Kind::kObject, static_cast<std::uint32_t>(index)},
                               files_.back().source);
    CK_TRY(feeder.add(0, object.size()));
    CK_TRY(feeder.flush());
  }
  return {};
}

}  // namespace ck::capture
