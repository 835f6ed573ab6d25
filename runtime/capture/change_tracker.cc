#include "runtime/capture/change_tracker.h"

#include <linux/userfaultfd.h>

#include "runtime/proc/userfault.h"

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

namespace ck::capture {

namespace {

// PAGEMAP_SCAN tells of anonymous memory only where markers may stand in empty page tables.
constexpr std::uint64_t kFeatures = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED;

}  // namespace

std::optional<std::uint32_t> ChangeTracker::index_of(RealPid process) const {
  const auto found = processes_.find(process.value);
  if (found == processes_.end()) return std::nullopt;
  return found->second.index;
}

Result<std::optional<std::vector<proc::PageRun>>> ChangeTracker::changed(const proc::PageScan& scan,
                                                                         proc::PageRun range) {
  std::vector<proc::PageRun> runs;
  const bool known =
      CK_TRY(scan.scan_written(range.begin, range.end, false, [&](proc::PageRun run) -> Status {
        runs.push_back(run);
        return {};
      }));
  if (!known) return std::optional<std::vector<proc::PageRun>>();
  return std::optional(std::move(runs));
}

Status ChangeTracker::protect(FrozenProcess& process, std::uint32_t index,
                              const proc::PageScan& scan,
                              const std::vector<proc::PageRun>& ranges) {
  image_.reset();
  Tracked& tracked = next_[process.pid.value];
  tracked.index = index;
  const auto before = processes_.find(process.pid.value);
  if (before != processes_.end()) tracked.userfault = std::move(before->second.userfault);
  const auto use = [&](proc::PageRun range) {
    return tracked.userfault && proc::register_range(tracked.userfault.get(), range.begin,
                                                     range.end, UFFDIO_REGISTER_MODE_WP);
  };
  const auto ignore = [](proc::PageRun) { return Status(); };
  bool any = false;
  for (const proc::PageRun& range : ranges) {
    bool registered = use(range);
    // A userfaultfd of a program that is gone: it has called execve.
    if (!registered && !any) {
      proc::Mailbox box = process.mailbox();
      tracked.userfault = CK_TRY(proc::open_userfault(box, kFeatures));
      registered = use(range);
      if (!tracked.userfault) return {};
    }
    any = any || registered;
    if (registered) (void)CK_TRY(scan.scan_written(range.begin, range.end, true, ignore));
  }
  return {};
}

void ChangeTracker::settle(const image::Hash128& image) {
  processes_ = std::exchange(next_, {});
  image_ = image;
}

void ChangeTracker::forget() {
  image_.reset();
  processes_.clear();
  next_.clear();
}

}  // namespace ck::capture
