#include "runtime/restore/vdso_patch.h"

#include <elf.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace ck::restore {

namespace {

bool inside(std::span<const std::byte> image, std::uint64_t offset, std::uint64_t size) {
  return offset <= image.size() && size <= image.size() - offset;
}

template <typename T>
bool load(std::span<const std::byte> image, std::uint64_t offset, T& value) {
  if (!inside(image, offset, sizeof value)) return false;
  std::memcpy(&value, image.data() + offset, sizeof value);
  return true;
}

constexpr std::uint64_t kJumpBytes = 12;

// movabs $target, %rax; jmp *%rax: rax is clobbered by every function call anyway.
void put_jump(std::span<std::byte> code, std::uint64_t offset, std::uint64_t target) {
  std::uint8_t bytes[kJumpBytes] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
  std::memcpy(bytes + 2, &target, sizeof target);
  std::memcpy(code.data() + offset, bytes, sizeof bytes);
}

struct Fallback {
  const char* name;
  std::uint32_t call;
};
// They take the same arguments; getrandom's further ones are only of use to the vdso.
constexpr Fallback kFallbacks[] = {
    {"clock_gettime", SYS_clock_gettime},
    {"gettimeofday", SYS_gettimeofday},
    {"time", SYS_time},
    {"getcpu", SYS_getcpu},
    {"clock_getres", SYS_clock_getres},
    {"getrandom", SYS_getrandom},
};

// mov $number, %eax; syscall; ret.
bool put_system_call(std::span<std::byte> code, std::uint64_t offset, std::string name) {
  if (name.starts_with("__vdso_")) name.erase(0, 7);
  const auto fallback = std::find_if(std::begin(kFallbacks), std::end(kFallbacks),
                                     [&](const Fallback& f) { return name == f.name; });
  if (fallback == std::end(kFallbacks)) return false;
  std::uint8_t bytes[8] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3};
  std::memcpy(bytes + 1, &fallback->call, sizeof fallback->call);
  std::memcpy(code.data() + offset, bytes, sizeof bytes);
  return true;
}

// Enters an enclave: reads none of the vdso's data, and no enclave survives a checkpoint anyway.
constexpr char kEnclave[] = "__vdso_sgx_enter_enclave";

}  // namespace

// The vdso is a small ELF library with section headers.
std::map<std::string, std::uint64_t> vdso_functions(std::span<const std::byte> vdso) {
  std::map<std::string, std::uint64_t> result;
  Elf64_Ehdr header{};
  if (!load(vdso, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return result;
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section{};
    Elf64_Shdr strings{};
    if (!load(vdso, header.e_shoff + i * sizeof section, section)) break;
    if (section.sh_type != SHT_DYNSYM || !inside(vdso, section.sh_offset, section.sh_size))
      continue;
    if (!load(vdso, header.e_shoff + section.sh_link * sizeof strings, strings)) continue;
    for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol{};
      if (!load(vdso, section.sh_offset + at, symbol) || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC)
        continue;
      const std::uint64_t name = strings.sh_offset + symbol.st_name;
      if (!inside(vdso, name, 1) || symbol.st_value == 0) continue;
      const char* text = reinterpret_cast<const char*>(vdso.data() + name);
      result[std::string(text, ::strnlen(text, vdso.size() - name))] = symbol.st_value;
    }
  }
  return result;
}

Result<std::vector<std::byte>> redirect_vdso(std::vector<std::byte> old,
                                             std::span<const std::byte> host,
                                             std::uint64_t host_address) {
  const auto host_entries = vdso_functions(host);
  for (const auto& [name, offset] : vdso_functions(old)) {
    if (name == kEnclave) continue;
    const bool fits = inside(old, offset, kJumpBytes);
    const auto match = host_entries.find(name);
    if (fits && match != host_entries.end()) {
      put_jump(old, offset, host_address + match->second);
    } else if (!fits || !put_system_call(old, offset, name)) {
      return make_error(
          ErrorKind::kRefused,
          "this host's kernel has no vdso function " + name + ", which the program may use",
          "restart on a host with the kernel of the image: ckpt inspect tells which");
    }
  }
  return old;
}

}  // namespace ck::restore
