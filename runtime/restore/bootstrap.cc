#include "runtime/restore/bootstrap.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>

#include "runtime/proc/mem.h"

namespace ck::restore {

using proc::Mailbox;

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLowest = 0x10000000;       // above vm.mmap_min_addr and old binaries
constexpr std::uint64_t kHighest = 0x7ffffffff000;  // end of user space with four page levels
constexpr std::uint64_t kMargin = 16 << 20;         // stack guard gaps
constexpr std::uint64_t kHeapRoom = std::uint64_t{64}
                                    << 30;  // for brk: a program may be linked low

struct Range {
  std::uint64_t begin, end;
};

void add_ranges(const image::ProcessRecord& process, std::vector<Range>& taken) {
  for (const image::MappingRecord& mapping : process.mappings())
    taken.push_back({mapping.begin(), mapping.end()});
  taken.push_back({process.agent().area(), process.agent().area() + process.agent().area_size()});
  if (process.layout().brk() != 0)
    taken.push_back({process.layout().brk(), process.layout().brk() + kHeapRoom});
}

// First fit above what is `taken`; `whose` mappings that is, for an error.
Result<std::uint64_t> find_hole_beside(std::uint64_t size, const std::vector<proc::Mapping>& here,
                                       std::vector<Range> taken, const std::string& whose) {
  for (const proc::Mapping& mapping : here) taken.push_back({mapping.begin, mapping.end});
  std::sort(taken.begin(), taken.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::uint64_t candidate = kLowest;
  for (const Range& range : taken) {
    if (range.begin >= candidate && range.begin - candidate >= size + 2 * kMargin) break;
    candidate = std::max(candidate, (range.end + kPage - 1) / kPage * kPage);
  }
  if (candidate + size + 2 * kMargin > kHighest)
    return make_error(ErrorKind::kRefused,
                      "the mappings of " + whose + " leave no " + std::to_string(size) +
                          " bytes of address space for a restart",
                      "it must have mapped or reserved less at the checkpoint");
  return candidate + kMargin;
}

bool is_vdso_part(const proc::Mapping& mapping) {
  return mapping.path == "[vdso]" || mapping.path.starts_with("[vvar");
}

std::uint64_t pages(std::uint64_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

Status map_camp(Mailbox& box, const Camp& camp, const ControlArea& area, int area_fd) {
  box.clear();
  box.add(SYS_mmap, camp.code, kPage, PROT_READ | PROT_WRITE,
          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  box.add(SYS_mmap, camp.area, area.header()->size, PROT_READ | PROT_WRITE,
          MAP_SHARED | MAP_FIXED_NOREPLACE, area_fd, 0);
  CK_TRY(box.run());
  return box.expect_all("map the restorer's camp");
}

Status copy_code(Mailbox& box, const Camp& camp, const abi::RestorerHello& hello) {
  if (hello.code_end - hello.code_begin > kPage)
    return make_error(ErrorKind::kBug, "the restorer has grown");
  const proc::ProcMem memory = CK_TRY(proc::ProcMem::open(box.pid()));
  std::vector<std::byte> code(hello.code_end - hello.code_begin);
  CK_TRY(memory.read(hello.code_begin, code));
  CK_TRY(memory.write(camp.code, code));
  CK_TRY(box.call("protect the restorer's code", SYS_mprotect, camp.code, kPage,
                  PROT_READ | PROT_EXEC));
  return box.jump(camp.code + (hello.serve - hello.code_begin), camp.area);
}

Status move_vdso(Mailbox& box, Camp& camp) {
  std::uint64_t to = camp.vdso;
  box.clear();
  for (proc::Mapping& part : camp.vdso_parts) {
    box.add(SYS_mremap, part.begin, part.size(), part.size(), MREMAP_MAYMOVE | MREMAP_FIXED, to);
    part.end = to + part.size();
    part.begin = to;
    to = part.end;
  }
  CK_TRY(box.run());
  return box.expect_all("move the vdso aside");
}

Status unmap_rest(Mailbox& box, const Camp& camp) {
  box.clear();
  for (const proc::Mapping& mapping : CK_TRY(proc::read_maps(box.pid()))) {
    if ((mapping.begin >= camp.begin && mapping.end <= camp.end) || mapping.path == "[vsyscall]")
      continue;
    if (box.calls_left() == 0)
      return make_error(ErrorKind::kBug, "the restorer has too many mappings");
    box.add(SYS_munmap, mapping.begin, mapping.size());
  }
  CK_TRY(box.run());
  return box.expect_all("unmap the restorer");
}

}  // namespace

Result<std::uint64_t> find_hole(std::uint64_t size, const std::vector<proc::Mapping>& here,
                                const image::ProcessRecord& process) {
  std::vector<Range> taken;
  add_ranges(process, taken);
  return find_hole_beside(size, here, std::move(taken), "process " + std::to_string(process.pid()));
}

Result<Camp> move_to_camp(Mailbox& box, const ControlArea& area, int area_fd,
                          const image::Manifest& manifest) {
  const auto hello = *reinterpret_cast<const abi::RestorerHello*>(box.slot()->data);
  box = Mailbox(area, box.slot_index(), hello.area, box.pid());
  const std::vector<proc::Mapping> here = CK_TRY(proc::read_maps(box.pid()));
  Camp camp;
  std::uint64_t vdso_size = 0;
  for (const proc::Mapping& mapping : here) {
    if (!is_vdso_part(mapping)) continue;
    camp.vdso_parts.push_back(mapping);
    vdso_size += mapping.size();
  }
  const std::uint64_t size = kPage + pages(area.header()->size) + vdso_size;
  std::vector<Range> taken;
  for (const image::ProcessRecord& process : manifest.processes()) add_ranges(process, taken);
  // At one place in all processes.
  camp.begin = CK_TRY(find_hole_beside(size, here, std::move(taken), "all processes together"));
  camp.end = camp.begin + size;
  camp.code = camp.begin;
  camp.area = camp.begin + kPage;
  camp.vdso = camp.area + pages(area.header()->size);
  CK_TRY(map_camp(box, camp, area, area_fd));
  CK_TRY(copy_code(box, camp, hello));
  CK_TRY(move_vdso(box, camp));
  CK_TRY(unmap_rest(box, camp));
  return camp;
}

Status check_camp(const Camp& camp, const image::Manifest& manifest) {
  for (const image::ProcessRecord& process : manifest.processes()) {
    std::vector<Range> taken;
    add_ranges(process, taken);
    for (const Range& range : taken)
      if (range.begin < camp.end && camp.begin < range.end)
        return make_error(ErrorKind::kRefused,
                          "process " + std::to_string(process.pid()) +
                              " has mapped memory meanwhile where its restart camps");
  }
  return {};
}

Status leave_camp(Mailbox& box, const Camp& camp) {
  box.clear();
  box.add(SYS_munmap, camp.code, kPage);
  box.add(SYS_munmap, camp.area, camp.vdso - camp.area);
  CK_TRY(box.run());
  return box.expect_all("leave the restorer's camp");
}

}  // namespace ck::restore
