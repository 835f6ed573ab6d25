#include "runtime/restore/xstate_layout.h"

#include <cstring>
#include <vector>

#include "runtime/proc/cpu.h"
#include "runtime/proc/xstate.h"

namespace ck::restore {

namespace {

std::uint64_t used_components(const std::string& saved) {
  std::uint64_t used = 0;
  std::memcpy(&used, saved.data() + proc::kXstateLegacyBytes, sizeof used);
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

}  // namespace

Status lay_out_xstate(const std::string& saved, const image::HostRecord& host,
                      std::span<std::byte> target) {
  static const proc::CpuFacts here = proc::read_cpu();
  if (saved.size() < proc::kXstateMinBytes || saved.size() > target.size())
    return make_error(ErrorKind::kBadImage, "extended register state in the image is damaged");
  if (same_layout(host, here)) {
    std::memcpy(target.data(), saved.data(), saved.size());
    return {};
  }
  std::uint32_t size = proc::kXstateMinBytes;
  for (const proc::XsaveComponent& ours : here.xsave)
    size = std::max(size, ours.offset + ours.size);
  if (size + proc::kXstateTailBytes > target.size())
    return make_error(ErrorKind::kRefused, "this CPU's register state is larger than ckrun knows");
  std::memset(target.data(), 0, size);
  std::memcpy(target.data(), saved.data(), proc::kXstateMinBytes);
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
  proc::seal_xstate(target, size, here.xcr0);
  return {};
}

}  // namespace ck::restore
