// The contents of mapped programs and libraries. Engine thread only.
#pragma once

#include <memory>
#include <vector>

#include "runtime/image/image.pb.h"
#include "runtime/image/writer.h"

namespace ck::capture {

class ProgramFiles {
 public:
  // After the thaw. Must stay until the writer's chunks are finished.
  Status write(image::Writer& writer, image::Manifest& manifest);

 private:
  std::vector<std::unique_ptr<image::ByteSource>> sources_;
};

}  // namespace ck::capture
