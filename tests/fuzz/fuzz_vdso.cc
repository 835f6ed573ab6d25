// Fuzzes the reader of an image's vdso, an ELF file: redirected to this host's, or refused.
#include <sys/auxv.h>

#include <fstream>
#include <sstream>
#include <string>

#include "runtime/restore/vdso_patch.h"

namespace {

constexpr std::uint64_t kSomewhere = 0x7ffff0000000;

// The host's own, as its headers tell: up to the end of the section table, which comes last.
std::vector<std::byte> host_vdso() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!line.ends_with("[vdso]")) continue;
    std::uint64_t begin = 0, end = 0;
    char dash = 0;
    std::istringstream(line) >> std::hex >> begin >> dash >> end;
    const std::byte* first = reinterpret_cast<const std::byte*>(begin);
    return {first, first + (end - begin)};
  }
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::byte> host = host_vdso();
  const auto bytes = std::as_bytes(std::span(data, size));
  (void)ck::restore::vdso_functions(bytes);
  (void)ck::restore::redirect_vdso({bytes.begin(), bytes.end()}, host, kSomewhere);
  return 0;
}
