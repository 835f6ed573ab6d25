#include "runtime/resources/io_uring_mapping.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <vector>

#include "runtime/proc/maps.h"
#include "runtime/resources/io_uring.h"

namespace ck::resources {
namespace {

constexpr std::uint64_t kLowest = 0x10000;  // vm.mmap_min_addr, as it is everywhere
constexpr std::uint64_t kLimit = 0x7ffffffff000;

struct Gap {
  std::uint64_t begin = 0, end = 0;
};

// What is free in the process but for the range that is wanted.
Result<std::vector<Gap>> other_gaps(RealPid pid, Gap wanted) {
  std::vector<Gap> gaps;
  const auto add = [&](std::uint64_t begin, std::uint64_t end) {
    if (begin < end) gaps.push_back({begin, end});
  };
  std::uint64_t free = kLowest;
  std::vector<proc::Mapping> mappings = CK_TRY(proc::read_maps(pid));
  mappings.emplace_back().begin = kLimit;
  for (const proc::Mapping& mapping : mappings) {
    const std::uint64_t end = std::min(mapping.begin, kLimit);
    if (wanted.begin >= free && wanted.end <= end) {
      add(free, wanted.begin);
      add(wanted.end, end);
    } else {
      add(free, end);
    }
    free = std::max(free, mapping.end);
  }
  return gaps;
}

Status for_each_gap(proc::Mailbox& box, const std::vector<Gap>& gaps, bool fill) {
  for (std::size_t i = 0; i < gaps.size();) {
    box.clear();
    for (; i < gaps.size() && box.calls_left() > 0; ++i) {
      const std::uint64_t size = gaps[i].end - gaps[i].begin;
      if (fill)
        box.add(SYS_mmap, gaps[i].begin, size, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
      else
        box.add(SYS_munmap, gaps[i].begin, size);
    }
    CK_TRY(box.run());
    CK_TRY(box.expect_all(fill ? "hold the address space around an io_uring's memory"
                               : "let go of the address space"));
  }
  box.clear();
  return {};
}

// Linux maps a ring nowhere but where it chooses itself (EINVAL for any address, MAP_FIXED too, and
// so is mremap). So that it has but one choice, all other addresses are taken meanwhile.
Status map_at(proc::Mailbox& box, const image::MappingRecord& mapping, int fd) {
  const std::vector<Gap> gaps = CK_TRY(other_gaps(box.pid(), {mapping.begin(), mapping.end()}));
  const std::uint64_t size = mapping.end() - mapping.begin();
  CK_TRY(for_each_gap(box, gaps, true));
  const Result<std::int64_t> address =
      box.call("map the memory of an io_uring", SYS_mmap, 0, size, mapping.protection(), MAP_SHARED,
               fd, mapping.offset());
  CK_TRY(for_each_gap(box, gaps, false));
  if (!address.ok()) return address.error();
  if (static_cast<std::uint64_t>(*address) == mapping.begin()) return {};
  return make_error(ErrorKind::kSystem,
                    "the memory of an io_uring did not come to its old address");
}

Status advise(proc::Mailbox& box, const image::MappingRecord& mapping) {
  const std::uint64_t size = mapping.end() - mapping.begin();
  if (mapping.advice() & image::ADVICE_DONTFORK)
    CK_TRY(box.call("keep an io_uring from children", SYS_madvise, mapping.begin(), size,
                    MADV_DONTFORK));
  if (mapping.advice() & image::ADVICE_DONTDUMP)
    CK_TRY(box.call("keep an io_uring from core dumps", SYS_madvise, mapping.begin(), size,
                    MADV_DONTDUMP));
  return {};
}

}  // namespace

Status place_ring(proc::Mailbox& box, const image::ProcessRecord& process, std::uint32_t open_file,
                  int fd) {
  for (const image::MappingRecord& mapping : process.mappings()) {
    if (mapping.backing() != image::BACKING_IO_URING || mapping.open_file() != open_file) continue;
    CK_TRY(map_at(box, mapping, fd));
    CK_TRY(advise(box, mapping));
  }
  return {};
}

}  // namespace ck::resources
