#include "runtime/proc/pagemap.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/proc/proc_file.h"

namespace ck::proc {

// struct pm_scan_arg in linux/fs.h of Linux 6.7, which is newer than the headers we build with.
struct PageScan::Arguments {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t vec;
  std::uint64_t vec_len;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_anyof_mask;
  std::uint64_t return_mask;
};

namespace {

struct ScanRegion {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, std::uint64_t[12]);
constexpr std::uint64_t kProtectMatching = 1 << 0;  // flags
constexpr std::uint64_t kCheckRegistered = 1 << 1;
constexpr std::uint64_t kWritten = 1 << 1;  // categories
constexpr std::uint64_t kFile = 1 << 2;
constexpr std::uint64_t kPresent = 1 << 3;
constexpr std::uint64_t kSwapped = 1 << 4;
constexpr std::uint64_t kZeroPage = 1 << 5;
constexpr std::uint64_t kGuardPage = 1 << 8;

// Bits of a pagemap entry (Documentation/admin-guide/mm/pagemap.rst).
constexpr std::uint64_t kEntryPresent = 1ull << 63;
constexpr std::uint64_t kEntrySwapped = 1ull << 62;
constexpr std::uint64_t kEntryFile = 1ull << 61;
constexpr std::uint64_t kEntryGuard = 1ull << 58;

// Joins neighbouring runs before it passes them on.
class Merger {
 public:
  explicit Merger(const std::function<Status(PageRun)>& found) : found_(found) {}
  Status add(PageRun run) {
    if (run.begin == pending_.end) {
      pending_.end = run.end;
      return {};
    }
    CK_TRY(flush());
    pending_ = run;
    return {};
  }
  Status flush() {
    if (pending_.begin == pending_.end) return {};
    return found_(pending_);
  }

 private:
  const std::function<Status(PageRun)>& found_;
  PageRun pending_;
};

template <typename Arguments>
void select(PageScan::Kind kind, bool has_guard, Arguments& scan) {
  using Kind = PageScan::Kind;
  if (kind == Kind::kGuard) {
    scan.category_mask = kGuardPage;
    return;
  }
  scan.category_inverted = kind == Kind::kAnonymous ? kZeroPage : kFile;
  if (has_guard) scan.category_inverted |= kGuardPage;
  scan.category_mask = scan.category_inverted;
  scan.category_anyof_mask = kPresent | kSwapped;
}

bool wanted(PageScan::Kind kind, std::uint64_t entry) {
  using Kind = PageScan::Kind;
  if (kind == Kind::kGuard) return (entry & kEntryGuard) != 0;
  if ((entry & (kEntryPresent | kEntrySwapped)) == 0 || (entry & kEntryGuard) != 0) return false;
  return kind == Kind::kAnonymous || (entry & kEntryFile) == 0;
}

}  // namespace

Result<PageScan> PageScan::open(RealPid pid) {
  PageScan scan(CK_TRY(open_proc(pid, "pagemap", O_RDONLY)), pid);
  scan.probe();
  return scan;
}

void PageScan::probe() {
  Arguments scan{};
  scan.size = sizeof scan;
  ScanRegion region;
  scan.vec = reinterpret_cast<std::uint64_t>(&region);
  scan.vec_len = 1;
  scan.start = scan.end = 0;
  scan.return_mask = kPresent;
  has_ioctl_ = ::ioctl(fd_.get(), kPagemapScan, &scan) >= 0;
  scan.return_mask = scan.category_mask = kGuardPage;
  has_guard_ = has_ioctl_ && ::ioctl(fd_.get(), kPagemapScan, &scan) >= 0;
}

Status PageScan::scan(std::uint64_t begin, std::uint64_t end, Kind kind,
                      const std::function<Status(PageRun)>& found) const {
  if (begin >= end) return {};
  if (has_ioctl_ && (kind != Kind::kGuard || has_guard_)) {
    return scan_by_ioctl(begin, end, kind, found);
  }
  return scan_by_reading(begin, end, kind, found);
}

Status PageScan::scan_by_ioctl(std::uint64_t begin, std::uint64_t end, Kind kind,
                               const std::function<Status(PageRun)>& found) const {
  Arguments scan{};
  scan.return_mask = kPresent;  // one category alone, so that equal neighbours are one region
  select(kind, has_guard_, scan);
  return run_ioctl(begin, end, scan, found);
}

Result<bool> PageScan::scan_written(std::uint64_t begin, std::uint64_t end, bool protect,
                                    const std::function<Status(PageRun)>& found) const {
  if (!has_ioctl_) return false;
  Arguments scan{};
  scan.flags = kCheckRegistered | (protect ? kProtectMatching : 0);
  scan.category_mask = scan.return_mask = kWritten;
  // Else what is empty counts, and gets page tables full of marks.
  scan.category_anyof_mask = kPresent | kSwapped;
  Status scanned = run_ioctl(begin, end, scan, found);
  if (!scanned.ok() && scanned.error().errnum == EPERM) return false;
  CK_TRY(std::move(scanned));
  return true;
}

Status PageScan::run_ioctl(std::uint64_t begin, std::uint64_t end, Arguments scan,
                           const std::function<Status(PageRun)>& found) const {
  std::array<ScanRegion, 1024> regions;
  scan.size = sizeof scan;
  scan.vec = reinterpret_cast<std::uint64_t>(regions.data());
  scan.vec_len = regions.size();
  Merger merger(found);
  while (begin < end) {
    scan.start = begin;
    scan.end = end;
    int count = ::ioctl(fd_.get(), kPagemapScan, &scan);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return sys_error("scan the pages of process " + to_string(pid_));
    for (int i = 0; i < count; ++i) {
      const ScanRegion& region = regions[static_cast<std::size_t>(i)];
      CK_TRY(merger.add({region.start, region.end}));
    }
    // Where the regions fill the kernel's own buffer (512) and all the rest fits in ours, walk_end
    // is left at the place of the first overflow (do_pagemap_scan() does not reset it).
    std::uint64_t reached = scan.walk_end;
    if (count > 0) reached = std::max(reached, regions[static_cast<std::size_t>(count) - 1].end);
    if (reached <= begin) break;
    begin = reached;
  }
  return merger.flush();
}

Status PageScan::scan_by_reading(std::uint64_t begin, std::uint64_t end, Kind kind,
                                 const std::function<Status(PageRun)>& found) const {
  std::vector<std::uint64_t> entries(32768);
  Merger merger(found);
  while (begin < end) {
    std::size_t count = std::min<std::size_t>(entries.size(), (end - begin) / kPageBytes);
    ssize_t got = ::pread(fd_.get(), entries.data(), count * sizeof entries[0],
                          static_cast<off_t>(begin / kPageBytes * sizeof entries[0]));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sys_error("read the page map of process " + to_string(pid_));
    count = static_cast<std::size_t>(got) / sizeof entries[0];
    if (count == 0) break;  // beyond the end of the address space
    for (std::size_t i = 0; i < count; ++i, begin += kPageBytes) {
      if (wanted(kind, entries[i])) CK_TRY(merger.add({begin, begin + kPageBytes}));
    }
  }
  return merger.flush();
}

}  // namespace ck::proc
