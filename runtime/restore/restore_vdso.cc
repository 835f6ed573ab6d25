// The vdso of a restored program. On the kernel that the image comes from, the host's vdso is moved
// to the old address and nothing is patched. On another one the program may hold pointers into its
// old vdso (glibc caches them), so the old one stays, as plain memory that leads to the host's.
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstring>

#include "runtime/proc/mem.h"
#include "runtime/restore/restore_memory.h"
#include "runtime/restore/vdso_patch.h"

namespace ck::restore {

using proc::Mailbox;

namespace {

Status move_parts(Mailbox& box, const std::vector<proc::Mapping>& parts,
                  const std::vector<std::uint64_t>& to) {
  box.clear();
  for (std::size_t i = 0; i < parts.size(); ++i)
    box.add(SYS_mremap, parts[i].begin, parts[i].size(), parts[i].size(),
            MREMAP_MAYMOVE | MREMAP_FIXED, to[i]);
  CK_TRY(box.run());
  return box.expect_all("move the vdso to its place");
}

struct OldLayout {
  std::vector<const image::MappingRecord*> parts;  // by address
};

OldLayout old_layout(const image::ProcessRecord& process) {
  OldLayout layout;
  for (const image::MappingRecord& mapping : process.mappings())
    if (mapping.backing() == image::BACKING_VDSO || mapping.backing() == image::BACKING_VVAR)
      layout.parts.push_back(&mapping);
  return layout;
}

bool same_layout(const OldLayout& old, const std::vector<proc::Mapping>& here) {
  if (old.parts.size() != here.size()) return false;
  for (std::size_t i = 0; i < here.size(); ++i)
    if (old.parts[i]->end() - old.parts[i]->begin() != here[i].size() ||
        old.parts[i]->name() != here[i].path)
      return false;
  return true;
}

// The host's parts stay together, in a hole of their own.
Result<std::uint64_t> settle_host_vdso(Mailbox& box, const Camp& camp,
                                       const image::ProcessRecord& process) {
  const std::uint64_t size = camp.end - camp.vdso;
  std::uint64_t to = CK_TRY(find_hole(size, CK_TRY(proc::read_maps(box.pid())), process));
  std::vector<std::uint64_t> places;
  std::uint64_t vdso = 0;
  for (const proc::Mapping& part : camp.vdso_parts) {
    places.push_back(to);
    if (part.path == "[vdso]") vdso = to;
    to += part.size();
  }
  CK_TRY(move_parts(box, camp.vdso_parts, places));
  return vdso;
}

Status patch_old_vdso(Mailbox& box, const Camp& camp, const image::ProcessRecord& process,
                      const std::vector<std::byte>& here) {
  const std::string& saved = process.vdso().content();
  const auto* bytes = reinterpret_cast<const std::byte*>(saved.data());
  std::vector<std::byte> old(bytes, bytes + saved.size());
  const std::uint64_t target = CK_TRY(settle_host_vdso(box, camp, process));
  old = CK_TRY(redirect_vdso(std::move(old), here, target));
  const std::uint64_t address = process.vdso().address();
  CK_TRY(box.call("map the old vdso", SYS_mmap, address, old.size(), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  CK_TRY(CK_TRY(proc::ProcMem::open(box.pid())).write(address, old));
  CK_TRY(
      box.call("protect the old vdso", SYS_mprotect, address, old.size(), PROT_READ | PROT_EXEC));
  return {};
}

}  // namespace

Status place_vdso(Mailbox& box, const Camp& camp, const image::ProcessRecord& process) {
  if (process.vdso().size() == 0 || camp.vdso_parts.empty()) return {};
  const proc::Mapping& code = camp.vdso_parts.back();
  std::vector<std::byte> here(code.size());
  CK_TRY(CK_TRY(proc::ProcMem::open(box.pid())).read(code.begin, here));
  const OldLayout old = old_layout(process);
  const std::string& saved = process.vdso().content();
  const bool same_code =
      saved.size() == here.size() && std::memcmp(saved.data(), here.data(), here.size()) == 0;
  if (!same_code || !same_layout(old, camp.vdso_parts))
    return patch_old_vdso(box, camp, process, here);
  std::vector<std::uint64_t> places;
  for (const image::MappingRecord* part : old.parts) places.push_back(part->begin());
  return move_parts(box, camp.vdso_parts, places);
}

}  // namespace ck::restore
