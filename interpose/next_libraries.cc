// What ld.so knows of the loaded libraries (link.h), and their tables of symbols.
#include "interpose/real.h"

namespace ck::agent {
namespace {

bool same(const char* one, const char* other) {
  while (*one != '\0' && *one == *other) ++one, ++other;
  return *one == *other;
}

// ld.so adds the base to addresses in a dynamic section, unless it cannot write there (the vdso).
template <typename T>
const T* at(const link_map* map, const Elf64_Dyn& entry) {
  const uint64_t address = entry.d_un.d_ptr;
  return reinterpret_cast<const T*>(address < map->l_addr ? address + map->l_addr : address);
}

}  // namespace

NextLibraries::NextLibraries(const void* own) {
  void* found = nullptr;
  Dl_info about;
  if (dladdr1(own, &about, &found, RTLD_DL_LINKMAP) == 0 || found == nullptr) return;
  for (const link_map* map = static_cast<link_map*>(found)->l_next; map != nullptr;
       map = map->l_next)
    if (!add(map)) return;
  complete_ = true;
}

// False: what comes behind it may not be taken instead.
bool NextLibraries::add(const link_map* map) {
  if (count_ == kMost || map->l_ld == nullptr) return false;
  Library& library = libraries_[count_];
  library = {map->l_addr, nullptr, nullptr, nullptr, nullptr};
  for (const Elf64_Dyn* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_SYMTAB) library.symbols = at<Elf64_Sym>(map, *entry);
    if (entry->d_tag == DT_STRTAB) library.strings = at<char>(map, *entry);
    if (entry->d_tag == DT_VERSYM) library.versions = at<Elf64_Half>(map, *entry);
    if (entry->d_tag == DT_GNU_HASH) library.hashes = at<uint32_t>(map, *entry);
  }
  if (library.symbols == nullptr || library.strings == nullptr || library.hashes == nullptr)
    return false;
  ++count_;
  return true;
}

void* NextLibraries::Library::find(const char* name, uint32_t hash, bool& unsure) const {
  const uint32_t buckets = hashes[0], first = hashes[1], words = hashes[2], shift = hashes[3];
  if (buckets == 0 || words == 0) return nullptr;
  const uint64_t* bloom = reinterpret_cast<const uint64_t*>(hashes + 4);
  const uint64_t word = bloom[hash / 64 % words];
  if ((word >> hash % 64 & word >> (hash >> shift) % 64 & 1) == 0) return nullptr;
  const uint32_t* bucket = reinterpret_cast<const uint32_t*>(bloom + words);
  const uint32_t* chain = bucket + buckets;
  uint32_t index = bucket[hash % buckets];
  if (index < first) return nullptr;
  for (;; ++index) {
    const uint32_t here = chain[index - first];
    if ((here | 1) == (hash | 1) && same(strings + symbols[index].st_name, name)) {
      constexpr Elf64_Half kHidden = 0x8000;  // of an older version of the function
      const Elf64_Sym& symbol = symbols[index];
      const bool usual = versions == nullptr || (versions[index] & kHidden) == 0;
      if (usual && symbol.st_shndx != SHN_UNDEF) {
        unsure = ELF64_ST_TYPE(symbol.st_info) != STT_FUNC;
        return unsure ? nullptr : reinterpret_cast<void*>(base + symbol.st_value);
      }
    }
    if ((here & 1) != 0) return nullptr;
  }
}

void* NextLibraries::find(const char* name, uint32_t hash) const {
  bool unsure = !complete_;
  for (int i = 0; i < count_ && !unsure; ++i)
    if (void* function = libraries_[i].find(name, hash, unsure)) return function;
  return nullptr;
}

}  // namespace ck::agent
