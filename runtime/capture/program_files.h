// The contents of mapped programs and libraries. Engine thread only.
#pragma once

#include <deque>

#include "runtime/base/unique_fd.h"
#include "runtime/image/image.pb.h"
#include "runtime/image/writer.h"
#include "runtime/memory/file_content.h"

namespace ck::capture {

class ProgramFiles {
 public:
  // After the thaw. Must stay until the writer's chunks are finished.
  Status write(image::Writer& writer, image::Manifest& manifest);

 private:
  struct File {
    UniqueFd fd;
    memory::FileSource source;
  };
  std::deque<File> files_;  // their places must not change
};

}  // namespace ck::capture
