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

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

// Reads an open file; pages beyond its end are zero.
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
      if (count == 0) return make_error(ErrorKind::kTryAgain, path_ + " became shorter while it was read");
      done += static_cast<std::size_t>(count);
    }
    return {};
  }

 private:
  UniqueFd fd_;
  std::string path_;
};

}  // namespace

MemoryCapture::MemoryCapture(FrozenProcess& process, std::uint32_t process_index, image::Manifest& manifest)
    : process_(process), index_(process_index), manifest_(manifest) {}

Status MemoryCapture::describe(image::ProcessRecord& record) {
  process_.mappings = CK_TRY(proc::read_smaps(process_.pid));
  struct stat area_file{};
  if (::fstat(process_.area().fd(), &area_file) != 0) return sys_error("stat control area");
  frozen_source_ = CK_TRY(memory::MemorySource::open(process_.pid));
  for (const proc::Mapping& mapping : process_.mappings) {
    const memory::Classified classified = memory::classify(mapping, area_file.st_ino);
    if (classified.kind == Class::kSkip) continue;
    if (classified.kind == Class::kUnsupported)
      return make_error(ErrorKind::kRefused, where(process_.pid, mapping) + ": " + classified.reason);
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

std::uint32_t MemoryCapture::find_object(const proc::Mapping& mapping) const {
  for (int i = 0; i < manifest_.objects_size(); ++i) {
    const image::ObjectRecord& object = manifest_.objects(i);
    if (object.device() == mapping.dev && object.inode() == mapping.inode)
      return static_cast<std::uint32_t>(i) + 1;
  }
  return 0;
}

Status MemoryCapture::add_object(Area& area) {
  const proc::Mapping& mapping = area.mapping;
  area.object = find_object(mapping);
  if (area.object == 0) {
    image::ObjectRecord& object = *manifest_.add_objects();
    area.object = static_cast<std::uint32_t>(manifest_.objects_size());
    object.set_device(mapping.dev);
    object.set_inode(mapping.inode);
    object.set_path(mapping.path);
    switch (area.kind) {
      case Class::kPrivateFile:
      case Class::kSharedFile: CK_TRY(fill_path_object(mapping, object)); break;
      case Class::kDeletedShared: object.set_kind(image::ObjectRecord::SAVED); break;
      default:
        object.set_kind(mapping.path.starts_with("/memfd:") ? image::ObjectRecord::MEMFD
                                                            : image::ObjectRecord::SHARED_MEMORY);
    }
    if (object.kind() != image::ObjectRecord::PATH) {
      object.set_has_content(true);
      own_objects_.push_back(area.object);
    }
  }
  image::ObjectRecord& object = *manifest_.mutable_objects(static_cast<int>(area.object) - 1);
  if (object.kind() == image::ObjectRecord::PATH) {
    if (mapping.prot & PROT_EXEC) object.set_executable_mapped(true);
  } else if (std::find(own_objects_.begin(), own_objects_.end(), area.object) != own_objects_.end()) {
    object.set_size(std::max<std::uint64_t>(object.size(), mapping.offset + mapping.size()));
  }
  return {};
}

Status MemoryCapture::fill_path_object(const proc::Mapping& mapping, image::ObjectRecord& object) const {
  struct stat status{};
  const std::string inside = "/proc/" + to_string(process_.pid) + "/root" + mapping.path;
  if (::stat(inside.c_str(), &status) != 0 && ::stat(mapping.path.c_str(), &status) != 0)
    return sys_error("stat " + mapping.path + ", mapped by process " + to_string(process_.pid));
  if (status.st_ino != mapping.inode)
    return make_error(ErrorKind::kRefused, where(process_.pid, mapping) +
                                               ": another file has taken this name since it was mapped");
  object.set_kind(image::ObjectRecord::PATH);
  object.set_size(static_cast<std::uint64_t>(status.st_size));
  object.set_mtime_ns(nanoseconds(status.st_mtim));
  object.set_mode(status.st_mode);
  object.set_uid(status.st_uid);
  object.set_gid(status.st_gid);
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

Status MemoryCapture::write_shared(image::Writer& writer) {
  for (const Area& area : areas_) {
    if (area.kind != Class::kSharedMemory && area.kind != Class::kDeletedShared) continue;
    if (std::find(own_objects_.begin(), own_objects_.end(), area.object) == own_objects_.end()) continue;
    CK_TRY(write_shared_area(writer, area));
  }
  return writer.finish_chunks();
}

// mincore(2) in the process tells which pages the object has, so that holes stay holes.
Status MemoryCapture::write_shared_area(image::Writer& writer, const Area& area) {
  const proc::Mapping& mapping = area.mapping;
  sources_.push_back(std::make_unique<memory::MappedObjectSource>(*frozen_source_, mapping.begin, mapping.offset));
  memory::ChunkFeeder feeder(writer, {image::StreamId::Kind::kObject, area.object - 1}, *sources_.back());
  const std::uint64_t shift = mapping.begin - mapping.offset;
  const std::uint64_t step = std::uint64_t{8192} * kPage;
  for (std::uint64_t begin = mapping.begin; begin < mapping.end; begin += step) {
    const std::uint64_t end = std::min(mapping.end, begin + step);
    proc::Mailbox box = process_.mailbox();
    const proc::Mailbox::Address vector = box.reserve((end - begin) / kPage);
    CK_TRY(box.call("ask for resident pages", SYS_mincore, begin, end - begin, vector));
    const std::span<std::byte> resident = box.view(vector, (end - begin) / kPage);
    for (std::size_t page = 0; page < resident.size(); ++page)
      if ((resident[page] & std::byte{1}) != std::byte{0} || mapping.swap != 0)
        CK_TRY(feeder.add(begin + page * kPage - shift, begin + (page + 1) * kPage - shift));
  }
  return feeder.flush();
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
    case Class::kAnonymous: return scan.scan(begin, end, proc::PageScan::Kind::kAnonymous, feed);
    case Class::kPrivateFile: return scan.scan(begin, end, proc::PageScan::Kind::kPrivateFile, feed);
    case Class::kDeletedPrivate: {
      // Every page that can be read; beyond the file's end none can.
      std::byte page[kPage];
      for (std::uint64_t address = begin; address < end; address += kPage)
        if (twin_source_->read(address, page).ok()) CK_TRY(feeder.add(address, address + kPage));
      return {};
    }
    default: return {};
  }
}

// Programs and libraries go along whole, so that the image restarts where they differ or are absent.
Status MemoryCapture::write_programs(image::Writer& writer) {
  for (int i = 0; i < manifest_.objects_size(); ++i) {
    image::ObjectRecord& object = *manifest_.mutable_objects(i);
    if (object.kind() != image::ObjectRecord::PATH || !object.executable_mapped() || object.has_content())
      continue;
    const std::string inside = "/proc/" + to_string(process_.pid) + "/root" + object.path();
    UniqueFd fd(::open(inside.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) fd.reset(::open(object.path().c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    // Unreadable (execute-only) or replaced meanwhile: the restart then needs the very file.
    if (!fd || ::fstat(fd.get(), &status) != 0 || status.st_ino != object.inode()) continue;
    object.set_has_content(true);
    sources_.push_back(std::make_unique<FileSource>(std::move(fd), object.path()));
    memory::ChunkFeeder feeder(writer, {image::StreamId::Kind::kObject, static_cast<std::uint32_t>(i)},
                               *sources_.back());
    CK_TRY(feeder.add(0, object.size()));
    CK_TRY(feeder.flush());
  }
  return {};
}

std::uint64_t MemoryCapture::private_bytes() const {
  std::uint64_t total = 0;
  for (const Area& area : areas_)
    if (area.kind == Class::kAnonymous || area.kind == Class::kPrivateFile) total += area.mapping.rss;
  return total;
}

}  // namespace ck::capture
