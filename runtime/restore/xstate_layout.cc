#include "runtime/restore/xstate_layout.h"

#include <cstring>
#include <vector>

#include "runtime/proc/cpu.h"

namespace ck::restore {

namespace {

constexpr std::size_t kLegacyBytes = 512;
constexpr std::size_t kMinBytes = 576;
constexpr std::size_t kSoftwareBytes = 464;
constexpr std::uint32_t kMagic2 = 0x46505845;

struct SoftwareBytes {  // arch/x86/include/uapi/asm/sigcontext.h, struct _fpx_sw_bytes
  std::uint32_t magic1, extended_size;
  std::uint64_t features;
  std::uint32_t xstate_size, padding[7];
};

std::uint64_t used_components(const std::string& saved) {
  std::uint64_t used = 0;
  std::memcpy(&used, saved.data() + kLegacyBytes, sizeof used);
  return used;
}

const proc::XsaveComponent* component(const proc::CpuFacts& cpu, std::uint32_t bit) {
  for (const proc::XsaveComponent& found : cpu.xsave)
    if (found.bit == bit) return &found;
  return nullptr;
}

bool same_layout(const image::HostRecord& host, const proc::CpuFacts& here) {
  if (host.xfeatures() != here.xcr0) return false;
  for (const image::XsaveComponent& saved : host.xsave()) {
    const proc::XsaveComponent* ours = component(here, saved.bit());
    if (ours == nullptr || ours->offset != saved.offset() || ours->size != saved.size())
      return false;
  }
  return true;
}

void finish(std::span<std::byte> target, std::uint32_t size, std::uint64_t features) {
  SoftwareBytes software{};
  std::memcpy(&software, target.data() + kSoftwareBytes, sizeof software);
  software.xstate_size = size;
  software.extended_size = size + sizeof kMagic2;
  software.features = features;
  std::memcpy(target.data() + kSoftwareBytes, &software, sizeof software);
  std::memcpy(target.data() + size, &kMagic2, sizeof kMagic2);
}

}  // namespace

Status lay_out_xstate(const std::string& saved, const image::HostRecord& host,
                      std::span<std::byte> target) {
  static const proc::CpuFacts here = proc::read_cpu();
  if (saved.size() < kMinBytes || saved.size() > target.size())
    return make_error(ErrorKind::kBadImage, "extended register state in the image is damaged");
  if (same_layout(host, here)) {
    std::memcpy(target.data(), saved.data(), saved.size());
    return {};
  }
  std::uint32_t size = kMinBytes;
  for (const proc::XsaveComponent& ours : here.xsave)
    size = std::max(size, ours.offset + ours.size);
  if (size + sizeof kMagic2 > target.size())
    return make_error(ErrorKind::kRefused, "this CPU's register state is larger than ckrun knows");
  std::memset(target.data(), 0, size);
  std::memcpy(target.data(), saved.data(), kMinBytes);
  for (const image::XsaveComponent& theirs : host.xsave()) {
    if (!(used_components(saved) >> theirs.bit() & 1)) continue;
    const proc::XsaveComponent* ours = component(here, theirs.bit());
    if (ours == nullptr || ours->size != theirs.size() ||
        theirs.offset() + theirs.size() > saved.size())
      return make_error(ErrorKind::kRefused, "the job uses register state component " +
                                                 std::to_string(theirs.bit()) +
                                                 ", which this CPU does not have");
    std::memcpy(target.data() + ours->offset, saved.data() + theirs.offset(), ours->size);
  }
  finish(target, size, here.xcr0);
  return {};
}

}  // namespace ck::restore
