#include "runtime/capture/memory_capture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/memory/posix_shared_memory.h"
#include "runtime/resources/io_uring.h"

namespace ck::capture {

using memory::Class;

namespace {

constexpr std::uint64_t kPage = proc::kPageBytes;

std::string where(RealPid pid, const proc::Mapping& mapping) {
  char range[64];
  std::snprintf(range, sizeof range, "%lx-%lx", mapping.begin, mapping.end);
  return "process " + to_string(pid) + ", mapping " + range + " " + mapping.path;
}

// What only smaps tells, from a scan of the same mappings; false: they are not the same.
bool take_flags(std::vector<proc::Mapping>& mappings, const std::vector<proc::Mapping>& scan) {
  const auto same = [](const proc::Mapping& a, const proc::Mapping& b) {
    return a.begin == b.begin && a.end == b.end && a.prot == b.prot && a.shared == b.shared &&
           a.inode == b.inode && a.dev == b.dev && a.offset == b.offset && a.path == b.path &&
           a.deleted == b.deleted;
  };
  if (!std::equal(mappings.begin(), mappings.end(), scan.begin(), scan.end(), same)) return false;
  mappings = scan;
  return true;
}

// A process that was frozen later may have removed or renamed a file since then.
bool names_hold(const std::vector<proc::Mapping>& mappings) {
  const std::string* last = nullptr;
  for (const proc::Mapping& mapping : mappings) {
    if (mapping.inode == 0 || mapping.deleted || !mapping.path.starts_with('/')) continue;
    if (last != nullptr && *last == mapping.path) continue;
    last = &mapping.path;
    struct stat status {};
    if (::stat(mapping.path.c_str(), &status) != 0 || status.st_ino != mapping.inode) return false;
  }
  return true;
}

// Its pages may become zero at any time, and this is one. The program expects no more, and what
// libc draws random numbers from (vDSO getrandom) must not come twice to life.
bool is_droppable(const proc::Mapping& mapping) {
  return (mapping.vm_flags & proc::kVmDroppable) != 0;
}

// Goes through an area's pages, in order, and tells those that have changed from the others.
class Changes {
 public:
  explicit Changes(const std::optional<std::vector<proc::PageRun>>& changed) : changed_(changed) {}

  template <typename IfChanged, typename IfKept>
  Status split(proc::PageRun run, IfChanged if_changed, IfKept if_kept) {
    if (!changed_) return if_changed(run);
    while (run.begin < run.end) {
      while (next_ < changed_->size() && (*changed_)[next_].end <= run.begin) ++next_;
      const bool any = next_ < changed_->size() && (*changed_)[next_].begin < run.end;
      const std::uint64_t begin = any ? std::max((*changed_)[next_].begin, run.begin) : run.end;
      if (run.begin < begin) if_kept({run.begin, begin});
      const std::uint64_t end = any ? std::min((*changed_)[next_].end, run.end) : run.end;
      if (begin < end) CK_TRY(if_changed({begin, end}));
      run.begin = end;
    }
    return {};
  }

 private:
  const std::optional<std::vector<proc::PageRun>>& changed_;
  std::size_t next_ = 0;
};

}  // namespace

MemoryCapture::MemoryCapture(FrozenProcess& process, std::uint32_t process_index,
                             image::Manifest& manifest, memory::ObjectTable& objects,
                             SharedMemory& shared)
    : process_(process),
      index_(process_index),
      manifest_(manifest),
      objects_(objects),
      shared_(shared) {}

Status MemoryCapture::describe(image::ProcessRecord& record,
                               const std::vector<proc::Mapping>& scan) {
  if (!take_flags(process_.mappings, scan) || !names_hold(process_.mappings))
    process_.mappings = CK_TRY(proc::read_smaps(process_.witness));
  const ino_t area_inode = CK_TRY(process_.area().inode());
  frozen_source_ = CK_TRY(memory::MemorySource::open(process_.witness));
  for (const proc::Mapping& mapping : process_.mappings) {
    const memory::Classified classified = memory::classify(mapping, area_inode);
    if (classified.kind == Class::kSkip) continue;
    if (classified.kind == Class::kUnsupported)
      return make_error(ErrorKind::kRefused,
                        where(process_.pid, mapping) + ": " + classified.reason);
    Area area{mapping, classified.kind};
    if (area.kind == Class::kDeletedPrivate) find_memfd(area);
    if (memory::needs_object(area.kind)) CK_TRY(add_object(area));
    if (area.kind == Class::kVdso) CK_TRY(capture_vdso(area, record));
    image::MappingRecord& saved = *record.add_mappings();
    saved = memory::to_record(mapping, area.kind);
    saved.set_object(area.object);
    if (area.kind == Class::kIoUring) {
      Result<std::uint32_t> ring = resources::ring_of_mapping(manifest_, record, mapping);
      if (!ring.ok()) return std::move(ring).error().within(where(process_.pid, mapping));
      saved.set_open_file(*ring);
    }
    areas_.push_back(std::move(area));
  }
  if (Status attached = memory::check_attachments(record, manifest_); !attached.ok())
    return std::move(attached).error().within("process " + to_string(process_.pid));
  return {};
}

Status MemoryCapture::check_twin(RealPid twin) const {
  const std::vector<proc::Mapping> there = CK_TRY(proc::read_smaps(twin));
  auto part = there.begin();
  for (const Area& area : areas_) {
    if (area.kind != Class::kAnonymous && area.kind != Class::kPrivateFile &&
        area.kind != Class::kDeletedPrivate)
      continue;
    if (is_droppable(area.mapping)) continue;
    for (std::uint64_t at = area.mapping.begin; at < area.mapping.end;) {
      while (part != there.end() && part->end <= at) ++part;
      if (part == there.end() || part->begin > at || (part->vm_flags & proc::kVmWipeOnFork))
        return make_error(ErrorKind::kTryAgain,
                          where(process_.pid, area.mapping) +
                              ": was advised not to be forked just before the checkpoint")
            .that_passes();
      at = part->end;
    }
  }
  return {};
}

// The pages that are not the process's own yet go on to follow the memfd, which the program may
// write while the twin is read: only its content of the pause belongs with the rest.
void MemoryCapture::find_memfd(Area& area) const {
  const std::uint32_t object = objects_.find(area.mapping.dev, area.mapping.inode);
  if (object == 0 || objects_.record(object).kind() != image::ObjectRecord::MEMFD) return;
  area.kind = Class::kPrivateFile;
  area.object = object;
}

Status MemoryCapture::add_object(Area& area) {
  const proc::Mapping& mapping = area.mapping;
  if (area.object != 0) return {};
  if (area.kind == Class::kPrivateFile || area.kind == Class::kSharedFile) {
    Result<std::uint32_t> added = objects_.add_path(mapping.dev, mapping.inode, mapping.path);
    if (!added.ok()) return std::move(added).error().within(where(process_.pid, mapping));
    area.object = *added;
    if (area.kind == Class::kSharedFile && memory::is_posix_shared_memory(mapping.path))
      CK_TRY(objects_.keep_content(area.object));
    if (mapping.prot & PROT_EXEC) objects_.record(area.object).set_executable_mapped(true);
    return {};
  }
  if (area.kind == Class::kSystemV) {
    area.object = objects_.find_system_v(
        process_.area().virtual_id(abi::SystemVFamily::kSegments, static_cast<int>(mapping.inode)));
    if (area.object == 0)
      return make_error(ErrorKind::kTryAgain, where(process_.pid, mapping) + ": is not attached");
    return {};
  }
  area.object = shared_.add(process_, mapping);
  return {};
}

Status MemoryCapture::capture_vdso(const Area& area, image::ProcessRecord& record) {
  std::vector<std::byte> content(area.mapping.size());
  CK_TRY(frozen_source_->read(area.mapping.begin, content));
  record.mutable_vdso()->set_address(area.mapping.begin);
  record.mutable_vdso()->set_size(area.mapping.size());
  record.mutable_vdso()->set_content(content.data(), content.size());
  return {};
}

// Devices write to the buffers of a ring, which the kernel does not note. A huge page is one.
bool MemoryCapture::can_track(const Area& area) const {
  const auto is_ring = [](const Area& other) { return other.kind == Class::kIoUring; };
  return (area.kind == Class::kAnonymous || area.kind == Class::kPrivateFile) &&
         !(area.mapping.vm_flags & proc::kVmHugeTlb) &&
         std::none_of(areas_.begin(), areas_.end(), is_ring);
}

Status MemoryCapture::compare(const ChangeTracker& tracker, const image::Basis& basis) {
  const std::optional<std::uint32_t> index =
      tracker.knows(basis.hash()) ? tracker.index_of(process_.pid) : std::nullopt;
  if (!index) return {};
  in_basis_ = {image::StreamId::Kind::kMemory, *index};
  const proc::PageScan scan = CK_TRY(proc::PageScan::open(process_.witness));
  for (Area& area : areas_)
    if (can_track(area)) area.changed = CK_TRY(ChangeTracker::changed(scan, area.range()));
  return {};
}

Status MemoryCapture::track(ChangeTracker& tracker) {
  std::vector<proc::PageRun> ranges;
  for (const Area& area : areas_)
    if (can_track(area)) ranges.push_back(area.range());
  const proc::PageScan scan = CK_TRY(proc::PageScan::open(process_.witness));
  return tracker.protect(process_, index_, scan, ranges);
}

Status MemoryCapture::write_private(image::Writer& writer, RealPid from) {
  twin_source_ = CK_TRY(memory::MemorySource::open(from));
  const proc::PageScan scan = CK_TRY(proc::PageScan::open(from));
  const image::StreamId stream{image::StreamId::Kind::kMemory, index_};
  // A page of zeros that a program wrote over a file's page must come back; elsewhere it is there.
  memory::ChunkFeeder anonymous(writer, stream, *twin_source_);
  memory::ChunkFeeder over_file(writer, stream, *twin_source_, image::ZeroPages::kKeep);
  std::vector<image::Run> kept;
  for (const Area& area : areas_)
    CK_TRY(
        feed_private(area, scan, area.kind == Class::kPrivateFile ? over_file : anonymous, kept));
  CK_TRY(anonymous.flush());
  CK_TRY(over_file.flush());
  if (!kept.empty()) CK_TRY(writer.keep(stream, in_basis_, kept));
  return note_guards(scan);
}

// A copy of the process has them too, those of shared mappings included: guards count as page
// tables that a fork must copy.
Status MemoryCapture::note_guards(const proc::PageScan& scan) {
  if (!scan.tells_guards()) return {};
  for (std::size_t i = 0; i < areas_.size(); ++i) {
    const Area& area = areas_[i];
    if (area.kind == Class::kIoUring || area.kind == Class::kVdso || area.kind == Class::kVvar)
      continue;
    image::MappingRecord& saved = *manifest_.mutable_processes(static_cast<int>(index_))
                                       ->mutable_mappings(static_cast<int>(i));
    CK_TRY(scan.scan(area.mapping.begin, area.mapping.end, proc::PageScan::Kind::kGuard,
                     [&](proc::PageRun run) -> Status {
                       saved.add_guard_begin(run.begin);
                       saved.add_guard_end(run.end);
                       return {};
                     }));
  }
  return {};
}

Status MemoryCapture::feed_private(const Area& area, const proc::PageScan& scan,
                                   memory::ChunkFeeder& feeder,
                                   std::vector<image::Run>& kept) const {
  if (is_droppable(area.mapping)) return {};
  Changes changes(area.changed);
  auto feed = [&](proc::PageRun run) {
    return changes.split(
        run, [&](proc::PageRun part) { return feeder.add(part.begin, part.end); },
        [&](proc::PageRun part) {
          kept.push_back({part.begin, part.end - part.begin});
        });
  };
  const std::uint64_t begin = area.mapping.begin;
  const std::uint64_t end = area.mapping.end;
  switch (area.kind) {
    case Class::kAnonymous:
      return scan.scan(begin, end, proc::PageScan::Kind::kAnonymous, feed);
    case Class::kPrivateFile:
      return scan.scan(begin, end, proc::PageScan::Kind::kPrivateFile, feed);
    case Class::kDeletedPrivate: {
      // Every page that can be read; beyond the file's end none can.
      std::byte page[kPage];
      for (std::uint64_t address = begin; address < end; address += kPage)
        if (twin_source_->read(address, page).ok()) CK_TRY(feeder.add(address, address + kPage));
      return {};
    }
    default:
      return {};
  }
}

std::uint64_t MemoryCapture::private_bytes() const {
  std::uint64_t total = 0;
  for (const Area& area : areas_)
    if (area.kind == Class::kAnonymous || area.kind == Class::kPrivateFile)
      total += area.mapping.rss;
  return total;
}

}  // namespace ck::capture
