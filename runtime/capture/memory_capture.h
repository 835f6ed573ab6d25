// The memory of one frozen process: its mappings into the record, its pages into the writer.
// Engine thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/capture/freeze.h"
#include "runtime/image/image.pb.h"
#include "runtime/image/writer.h"
#include "runtime/memory/mappings.h"
#include "runtime/memory/read_memory.h"

namespace ck::capture {

class MemoryCapture {
 public:
  // `process_index`: of the record in the manifest; names the memory's stream.
  MemoryCapture(FrozenProcess& process, std::uint32_t process_index, image::Manifest& manifest);

  // While frozen: classifies all mappings, adds objects for files. Refuses what cannot be saved.
  Status describe(image::ProcessRecord& record);
  // While frozen: memory that a twin would share with the running program.
  Status write_shared(image::Writer& writer);
  // After the thaw: private pages, from the twin; and the contents of programs and libraries.
  Status write_private(image::Writer& writer, RealPid twin);
  Status write_programs(image::Writer& writer);

  std::uint64_t private_bytes() const;  // estimate, for progress

 private:
  struct Area {
    proc::Mapping mapping;
    memory::Class kind;
    std::uint32_t object = 0;  // index plus 1
  };
  Status add_object(Area& area);
  std::uint32_t find_object(const proc::Mapping& mapping) const;
  Status fill_path_object(const proc::Mapping& mapping, image::ObjectRecord& object) const;
  Status capture_vdso(const Area& area, image::ProcessRecord& record);
  Status write_shared_area(image::Writer& writer, const Area& area);
  Status feed_private(const Area& area, const proc::PageScan& scan, memory::ChunkFeeder& feeder) const;

  FrozenProcess& process_;
  std::uint32_t index_;
  image::Manifest& manifest_;
  std::vector<Area> areas_;
  std::vector<std::uint32_t> own_objects_;   // plus 1: content is written here, not with descriptors
  std::unique_ptr<memory::MemorySource> frozen_source_;
  std::unique_ptr<memory::MemorySource> twin_source_;
  std::vector<std::unique_ptr<image::ByteSource>> sources_;  // in use until the chunks are finished
};

}  // namespace ck::capture
