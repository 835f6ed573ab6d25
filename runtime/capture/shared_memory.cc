#include "runtime/capture/shared_memory.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <utility>

#include "runtime/memory/resident_runs.h"
#include "runtime/proc/pagemap.h"

namespace ck::capture {

namespace {

// A shared object as its mappings show it, by offset in the object.
class MappedObjectSource : public image::ByteSource {
 public:
  struct Part {
    std::uint64_t offset, length, address;
    const memory::MemorySource* memory;
  };
  explicit MappedObjectSource(std::vector<Part> parts) : parts_(std::move(parts)) {}
  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    while (!into.empty()) {
      const auto part = std::find_if(parts_.begin(), parts_.end(), [&](const Part& p) {
        return offset >= p.offset && offset - p.offset < p.length;
      });
      CK_CHECK(part != parts_.end());
      const std::size_t length =
          std::min<std::uint64_t>(into.size(), part->offset + part->length - offset);
      CK_TRY(part->memory->read(part->address + (offset - part->offset), into.first(length)));
      offset += length;
      into = into.subspan(length);
    }
    return {};
  }

 private:
  std::vector<Part> parts_;
};

// Where any pages are swapped out mincore(2) cannot tell, and all are read.
Result<std::vector<image::Run>> runs_of(FrozenProcess& process, const proc::Mapping& mapping,
                                        std::uint64_t address) {
  if (mapping.swap != 0) return std::vector<image::Run>{{mapping.offset, mapping.size()}};
  proc::Mailbox box = process.mailbox();
  return memory::resident_runs(box, address, mapping.size(), mapping.offset);
}

Result<bool> has_guards(RealPid pid, const proc::Mapping& mapping) {
  const proc::PageScan scan = CK_TRY(proc::PageScan::open(pid));
  if (!scan.tells_guards()) return false;
  bool any = false;
  CK_TRY(scan.scan(mapping.begin, mapping.end, proc::PageScan::Kind::kGuard,
                   [&](proc::PageRun) -> Status {
                     any = true;
                     return {};
                   }));
  return any;
}

}  // namespace

// A second mapping of the same memory, in the process, for a moment. Guard pages are of a mapping,
// not of the memory behind it: here its content can be read. mremap(2) from a length of 0 makes
// one, without any descriptor.
class SharedMemory::Window {
 public:
  static Result<Window> open(FrozenProcess& process, const proc::Mapping& mapping) {
    proc::Mailbox box = process.mailbox();
    const std::int64_t begin = CK_TRY(box.call("map shared memory once more", SYS_mremap,
                                               mapping.begin, 0, mapping.size(), MREMAP_MAYMOVE));
    return Window(process, static_cast<std::uint64_t>(begin), mapping.size());
  }
  ~Window() {
    if (process_ == nullptr) return;
    proc::Mailbox box = process_->mailbox();
    (void)box.call("unmap shared memory", SYS_munmap, begin_, size_);
  }
  Window(Window&& other) noexcept
      : process_(std::exchange(other.process_, nullptr)),
        begin_(other.begin_),
        size_(other.size_) {}
  Window& operator=(Window&&) = delete;
  std::uint64_t begin() const { return begin_; }

 private:
  Window(FrozenProcess& process, std::uint64_t begin, std::uint64_t size)
      : process_(&process), begin_(begin), size_(size) {}
  FrozenProcess* process_;
  std::uint64_t begin_;
  std::uint64_t size_;
};

std::uint32_t SharedMemory::add(FrozenProcess& process, const proc::Mapping& mapping) {
  std::uint32_t index = objects_.find(mapping.dev, mapping.inode);
  if (index == 0) {
    index = objects_.add_shared_memory(mapping.dev, mapping.inode, 0);
    objects_.record(index).set_path(mapping.path);
    parts_[index];
  }
  const auto known = parts_.find(index);
  if (known == parts_.end()) return index;
  image::ObjectRecord& object = objects_.record(index);
  object.set_size(std::max<std::uint64_t>(object.size(), mapping.offset + mapping.size()));
  // Children map what they have inherited: once is enough.
  for (const Part& part : known->second)
    if (part.mapping.offset <= mapping.offset &&
        part.mapping.offset + part.mapping.size() >= mapping.offset + mapping.size())
      return index;
  known->second.push_back({&process, mapping});
  return index;
}

Status SharedMemory::freeze() {
  for (const auto& [object, parts] : parts_) CK_TRY(freeze_object(object, parts));
  sources_.clear();
  return {};
}

Status SharedMemory::freeze_object(std::uint32_t object, const std::vector<Part>& parts) {
  std::vector<MappedObjectSource::Part> ranges;
  std::vector<image::Run> runs;
  std::vector<Window> windows;
  for (const Part& part : parts) {
    const proc::Mapping& mapping = part.mapping;
    std::uint64_t address = mapping.begin;
    if (CK_TRY(has_guards(part.process->witness, mapping))) {
      windows.push_back(CK_TRY(Window::open(*part.process, mapping)));
      address = windows.back().begin();
    }
    ranges.push_back({mapping.offset, mapping.size(), address, CK_TRY(source_of(*part.process))});
    for (const image::Run& run : CK_TRY(runs_of(*part.process, mapping, address)))
      runs.push_back(run);
  }
  return objects_.freeze_content(object, MappedObjectSource(std::move(ranges)),
                                 memory::merged(std::move(runs)));
}

Result<memory::MemorySource*> SharedMemory::source_of(const FrozenProcess& process) {
  std::unique_ptr<memory::MemorySource>& source = sources_[process.pid.value];
  if (!source) source = CK_TRY(memory::MemorySource::open(process.witness));
  return source.get();
}

}  // namespace ck::capture
