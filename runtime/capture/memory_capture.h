// The memory of one frozen process: its mappings into the record, its pages into the writer.
// Engine thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/capture/change_tracker.h"
#include "runtime/capture/freeze.h"
#include "runtime/capture/shared_memory.h"
#include "runtime/image/basis.h"
#include "runtime/image/image.pb.h"
#include "runtime/image/writer.h"
#include "runtime/memory/mappings.h"
#include "runtime/memory/objects.h"
#include "runtime/memory/read_memory.h"

namespace ck::capture {

class MemoryCapture {
 public:
  // `process_index`: of the record in the manifest; names the memory's stream.
  MemoryCapture(FrozenProcess& process, std::uint32_t process_index, image::Manifest& manifest,
                memory::ObjectTable& objects, SharedMemory& shared);

  // While frozen: classifies all mappings, adds objects for files. Refuses what cannot be saved.
  // `scan`: read_smaps() of shortly before the freeze. smaps walks all page tables (15 ms or more
  // for each GiB), so it is read again here only if the mappings have changed since.
  Status describe(image::ProcessRecord& record, const std::vector<proc::Mapping>& scan);
  // After the thaw: whether the twin has all private memory. Advice that keeps memory from a fork
  // may have been given between scan and freeze; then this is an Error of kind kTryAgain.
  Status check_twin(RealPid twin) const;
  // While frozen, after describe(): finds out what of the private memory is as in the basis of the
  // image, and is not read.
  Status compare(const ChangeTracker& tracker, const image::Basis& basis);
  // While frozen, after compare(): changes are noted from now on.
  Status track(ChangeTracker& tracker);
  // After the thaw: private pages, from the twin; or from the process itself, frozen.
  Status write_private(image::Writer& writer, RealPid from);

  std::uint64_t private_bytes() const;  // estimate, for progress

 private:
  struct Area {
    proc::Mapping mapping;
    memory::Class kind;
    std::uint32_t object = 0;  // index plus 1
    // Since the basis, in order; nothing: not known.
    std::optional<std::vector<proc::PageRun>> changed;
    proc::PageRun range() const { return {mapping.begin, mapping.end}; }
  };
  bool can_track(const Area& area) const;
  void find_memfd(Area& area) const;
  Status add_object(Area& area);
  Status capture_vdso(const Area& area, image::ProcessRecord& record);
  Status note_guards(const proc::PageScan& scan);
  Status feed_private(const Area& area, const proc::PageScan& scan, memory::ChunkFeeder& feeder,
                      std::vector<image::Run>& kept) const;

  FrozenProcess& process_;
  std::uint32_t index_;
  image::Manifest& manifest_;
  memory::ObjectTable& objects_;
  SharedMemory& shared_;
  std::vector<Area> areas_;
  image::StreamId in_basis_;
  std::unique_ptr<memory::MemorySource> frozen_source_;
  std::unique_ptr<memory::MemorySource> twin_source_;
};

}  // namespace ck::capture
