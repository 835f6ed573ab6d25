#include "runtime/restore/page_filler.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <fstream>

#include "runtime/proc/userfault.h"

namespace ck::restore {

namespace {

constexpr std::uint64_t kHugePageBytes = 2 << 20;

bool huge_pages_everywhere() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  std::getline(file, line);
  return line.find("[always]") != std::string::npos;
}

// UFFDIO_COPY makes small pages only; a fault, as the program's own once was, makes a huge one.
bool gets_huge_pages(const image::MappingRecord& mapping, bool everywhere) {
  if (mapping.advice() & image::ADVICE_NOHUGEPAGE) return false;
  if (mapping.end() - mapping.begin() < kHugePageBytes) return false;
  return everywhere || (mapping.advice() & image::ADVICE_HUGEPAGE) != 0;
}

bool is_private_anonymous(const image::MappingRecord& mapping) {
  return mapping.backing() == image::BACKING_ANONYMOUS && !mapping.shared() && !mapping.huge_tlb();
}

}  // namespace

Result<PageFiller> PageFiller::create(proc::Mailbox& box, const std::vector<MapStep>& steps) {
  PageFiller filler(CK_TRY(proc::ProcMem::open(box.pid())));
  filler.userfault_ = CK_TRY(proc::open_userfault(box, 0));
  if (!filler.userfault_) return filler;
  const bool everywhere = huge_pages_everywhere();
  for (const MapStep& step : steps) {
    const image::MappingRecord& mapping = *step.mapping;
    if (!step.filled || !is_private_anonymous(mapping) || gets_huge_pages(mapping, everywhere))
      continue;
    if (proc::register_range(filler.userfault_.get(), mapping.begin(), mapping.end(),
                             UFFDIO_REGISTER_MODE_MISSING))
      filler.ranges_.push_back({mapping.begin(), mapping.end()});
  }
  return filler;
}

// The registered range that holds `address`, or the space between two that does.
PageFiller::Range PageFiller::range_at(std::uint64_t address) const {
  const auto next =
      std::upper_bound(ranges_.begin(), ranges_.end(), address,
                       [](std::uint64_t at, const Range& range) { return at < range.end; });
  if (next == ranges_.end()) return {0, UINT64_MAX};
  return next->begin <= address ? *next : Range{0, next->begin};
}

// How much of `content` is now in place.
std::size_t PageFiller::copy(std::uint64_t address, std::span<const std::byte> content) const {
  std::size_t done = 0;
  while (done < content.size()) {
    uffdio_copy request{};
    request.dst = address + done;
    request.src = reinterpret_cast<std::uint64_t>(content.data() + done);
    request.len = content.size() - done;
    request.mode = UFFDIO_COPY_MODE_DONTWAKE;
    const int failed = ::ioctl(userfault_.get(), UFFDIO_COPY, &request);
    if (request.copy > 0) done += static_cast<std::size_t>(request.copy);
    if (failed != 0 && errno != EAGAIN) break;
  }
  return done;
}

Status PageFiller::fill(std::uint64_t address, std::span<const std::byte> content) const {
  while (!content.empty()) {
    const Range range = range_at(address);
    const std::span<const std::byte> piece =
        content.first(std::min<std::uint64_t>(content.size(), range.end - address));
    // What cannot be copied is written: that works, or tells what is wrong.
    const std::size_t copied = range.begin != 0 ? copy(address, piece) : 0;
    CK_TRY(memory_.write(address + copied, piece.subspan(copied)));
    address += piece.size();
    content = content.subspan(piece.size());
  }
  return {};
}

}  // namespace ck::restore
