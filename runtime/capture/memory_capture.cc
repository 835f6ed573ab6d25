#include "runtime/capture/memory_capture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace ck::capture {

using memory::Class;

namespace {

constexpr std::uint64_t kPage = proc::kPageBytes;

std::string where(RealPid pid, const proc::Mapping& mapping) {
  char range[64];
  std::snprintf(range, sizeof range, "%lx-%lx", mapping.begin, mapping.end);
  return "process " + to_string(pid) + ", mapping " + range + " " + mapping.path;
}

// A shared object as its mappings show it, by offset in the object.
class MappedObjectSource : public image::ByteSource {
 public:
  struct Part {
    std::uint64_t offset, length, address;
  };
  MappedObjectSource(const memory::MemorySource& memory, std::vector<Part> parts)
      : memory_(memory), parts_(std::move(parts)) {}
  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    while (!into.empty()) {
      const auto part = std::find_if(parts_.begin(), parts_.end(), [&](const Part& p) {
        return offset >= p.offset && offset - p.offset < p.length;
      });
      CK_CHECK(part != parts_.end());
      const std::size_t length =
          std::min<std::uint64_t>(into.size(), part->offset + part->length - offset);
      CK_TRY(memory_.read(part->address + (offset - part->offset), into.first(length)));
      offset += length;
      into = into.subspan(length);
    }
    return {};
  }

 private:
  const memory::MemorySource& memory_;
  std::vector<Part> parts_;
};

// Sorted, none twice: two mappings may show the same part of an object.
std::vector<image::Run> merged(std::vector<image::Run> runs) {
  std::sort(runs.begin(), runs.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::vector<image::Run> result;
  for (const image::Run& run : runs) {
    if (!result.empty() && run.begin <= result.back().begin + result.back().length) {
      const std::uint64_t end =
          std::max(result.back().begin + result.back().length, run.begin + run.length);
      result.back().length = end - result.back().begin;
    } else {
      result.push_back(run);
    }
  }
  return result;
}

// What only smaps tells, from a scan of the same mappings; false: they are not the same.
bool take_flags(std::vector<proc::Mapping>& mappings, const std::vector<proc::Mapping>& scan) {
  const auto same = [](const proc::Mapping& a, const proc::Mapping& b) {
    return a.begin == b.begin && a.end == b.end && a.prot == b.prot && a.shared == b.shared &&
           a.inode == b.inode && a.dev == b.dev && a.offset == b.offset && a.path == b.path;
  };
  if (!std::equal(mappings.begin(), mappings.end(), scan.begin(), scan.end(), same)) return false;
  mappings = scan;
  return true;
}

}  // namespace

MemoryCapture::MemoryCapture(FrozenProcess& process, std::uint32_t process_index,
                             image::Manifest& manifest, memory::ObjectTable& objects)
    : process_(process), index_(process_index), manifest_(manifest), objects_(objects) {}

Status MemoryCapture::describe(image::ProcessRecord& record,
                               const std::vector<proc::Mapping>& scan) {
  if (!take_flags(process_.mappings, scan))
    process_.mappings = CK_TRY(proc::read_smaps(process_.witness));
  struct stat area_file {};
  if (::fstat(process_.area().fd(), &area_file) != 0) return sys_error("stat control area");
  frozen_source_ = CK_TRY(memory::MemorySource::open(process_.witness));
  for (const proc::Mapping& mapping : process_.mappings) {
    const memory::Classified classified = memory::classify(mapping, area_file.st_ino);
    if (classified.kind == Class::kSkip) continue;
    if (classified.kind == Class::kUnsupported)
      return make_error(ErrorKind::kRefused,
                        where(process_.pid, mapping) + ": " + classified.reason);
    Area area{mapping, classified.kind};
    if (memory::needs_object(area.kind)) CK_TRY(add_object(area));
    if (area.kind == Class::kVdso) CK_TRY(capture_vdso(area, record));
    image::MappingRecord& saved = *record.add_mappings();
    saved = memory::to_record(mapping, area.kind);
    saved.set_object(area.object);
    areas_.push_back(std::move(area));
  }
  return {};
}

Status MemoryCapture::check_twin(RealPid twin) const {
  const std::vector<proc::Mapping> there = CK_TRY(proc::read_smaps(twin));
  auto part = there.begin();
  for (const Area& area : areas_) {
    if (area.kind != Class::kAnonymous && area.kind != Class::kPrivateFile &&
        area.kind != Class::kDeletedPrivate)
      continue;
    for (std::uint64_t at = area.mapping.begin; at < area.mapping.end;) {
      while (part != there.end() && part->end <= at) ++part;
      if (part == there.end() || part->begin > at || (part->vm_flags & proc::kVmWipeOnFork))
        return make_error(ErrorKind::kTryAgain,
                          where(process_.pid, area.mapping) +
                              ": was advised not to be forked just before the checkpoint");
      at = part->end;
    }
  }
  return {};
}

Status MemoryCapture::add_object(Area& area) {
  const proc::Mapping& mapping = area.mapping;
  if (area.kind == Class::kPrivateFile || area.kind == Class::kSharedFile) {
    Result<std::uint32_t> added = objects_.add_path(mapping.dev, mapping.inode, mapping.path);
    if (!added.ok()) return std::move(added).error().within(where(process_.pid, mapping));
    area.object = *added;
    if (mapping.prot & PROT_EXEC) objects_.record(area.object).set_executable_mapped(true);
    return {};
  }
  area.object = objects_.find(mapping.dev, mapping.inode);
  if (area.object == 0) {
    area.object = objects_.add_shared_memory(mapping.dev, mapping.inode, 0);
    objects_.record(area.object).set_path(mapping.path);
    shared_.insert(area.object);
  }
  if (shared_.contains(area.object)) {
    image::ObjectRecord& object = objects_.record(area.object);
    object.set_size(std::max<std::uint64_t>(object.size(), mapping.offset + mapping.size()));
  }
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

Status MemoryCapture::freeze_shared() {
  for (std::uint32_t object : shared_) CK_TRY(freeze_object(object));
  return {};
}

Status MemoryCapture::freeze_object(std::uint32_t object) {
  std::vector<MappedObjectSource::Part> parts;
  std::vector<image::Run> runs;
  for (const Area& area : areas_) {
    if (area.object != object) continue;
    parts.push_back({area.mapping.offset, area.mapping.size(), area.mapping.begin});
    for (const image::Run& run : CK_TRY(resident_runs(area))) runs.push_back(run);
  }
  return objects_.freeze_content(object, MappedObjectSource(*frozen_source_, std::move(parts)),
                                 merged(std::move(runs)));
}

// mincore(2) in the process tells which pages the object has, so that holes stay holes. Where any
// are swapped out it cannot tell, and all are read.
Result<std::vector<image::Run>> MemoryCapture::resident_runs(const Area& area) {
  const proc::Mapping& mapping = area.mapping;
  std::vector<image::Run> runs;
  if (mapping.swap != 0) return std::vector<image::Run>{{mapping.offset, mapping.size()}};
  const std::uint64_t step = std::uint64_t{8192} * kPage;
  for (std::uint64_t begin = mapping.begin; begin < mapping.end; begin += step) {
    const std::uint64_t length = std::min(mapping.end - begin, step);
    proc::Mailbox box = process_.mailbox();
    const proc::Mailbox::Address vector = box.reserve(length / kPage);
    box.add(SYS_mincore, begin, length, vector);
    CK_TRY(box.run());
    CK_TRY(box.expect_all("ask for resident pages"));
    const std::span<std::byte> resident = box.view(vector, length / kPage);
    for (std::size_t page = 0; page < resident.size(); ++page)
      if ((resident[page] & std::byte{1}) != std::byte{0})
        runs.push_back({begin - mapping.begin + mapping.offset + page * kPage, kPage});
  }
  return merged(std::move(runs));
}

Status MemoryCapture::write_private(image::Writer& writer, RealPid twin) {
  twin_source_ = CK_TRY(memory::MemorySource::open(twin));
  const proc::PageScan scan = CK_TRY(proc::PageScan::open(twin));
  const image::StreamId stream{image::StreamId::Kind::kMemory, index_};
  // A page of zeros that a program wrote over a file's page must come back; elsewhere it is there.
  memory::ChunkFeeder anonymous(writer, stream, *twin_source_);
  memory::ChunkFeeder over_file(writer, stream, *twin_source_, image::ZeroPages::kKeep);
  for (const Area& area : areas_)
    CK_TRY(feed_private(area, scan, area.kind == Class::kPrivateFile ? over_file : anonymous));
  CK_TRY(anonymous.flush());
  return over_file.flush();
}

Status MemoryCapture::feed_private(const Area& area, const proc::PageScan& scan,
                                   memory::ChunkFeeder& feeder) const {
  auto feed = [&](proc::PageRun run) { return feeder.add(run.begin, run.end); };
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

// Programs and libraries go along whole, so that the image restarts where they differ or are
// absent.
Status MemoryCapture::write_programs(image::Writer& writer) {
  for (int index = 0; index < manifest_.objects_size(); ++index) {
    image::ObjectRecord& object = *manifest_.mutable_objects(index);
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
    programs_.push_back({std::move(fd), source});
    memory::ChunkFeeder feeder(writer,
                               {image::StreamId::Kind::kObject, static_cast<std::uint32_t>(index)},
                               programs_.back().source);
    CK_TRY(feeder.add(0, object.size()));
    CK_TRY(feeder.flush());
  }
  return {};
}

std::uint64_t MemoryCapture::private_bytes() const {
  std::uint64_t total = 0;
  for (const Area& area : areas_)
    if (area.kind == Class::kAnonymous || area.kind == Class::kPrivateFile)
      total += area.mapping.rss;
  return total;
}

}  // namespace ck::capture
