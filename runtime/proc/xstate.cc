#include "runtime/proc/xstate.h"

#include <cstring>

#include "runtime/base/check.h"

namespace ck::proc {
namespace {

// arch/x86/include/uapi/asm/sigcontext.h
constexpr std::uint32_t kMagic1 = 0x46505853;
constexpr std::uint32_t kMagic2 = 0x46505845;
static_assert(sizeof kMagic2 == kXstateTailBytes);

struct SoftwareBytes {  // struct _fpx_sw_bytes
  std::uint32_t magic1;
  std::uint32_t extended_size;
  std::uint64_t features;
  std::uint32_t xstate_size;
  std::uint32_t padding[7];
};
static_assert(sizeof(SoftwareBytes) == kXstateLegacyBytes - kXstateSoftwareOffset);

}  // namespace

void seal_xstate(std::span<std::byte> frame, std::uint32_t size, std::uint64_t features) {
  CK_CHECK(size >= kXstateMinBytes && size + kXstateTailBytes <= frame.size());
  SoftwareBytes software{};
  software.magic1 = kMagic1;
  software.extended_size = size + std::uint32_t{kXstateTailBytes};
  software.features = features;
  software.xstate_size = size;
  std::memcpy(frame.data() + kXstateSoftwareOffset, &software, sizeof software);
  std::memcpy(frame.data() + size, &kMagic2, sizeof kMagic2);
}

}  // namespace ck::proc
