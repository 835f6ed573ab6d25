// PageScan: which pages of another process hold content of their own, by the PAGEMAP_SCAN ioctl
// (Linux 6.7) or, where the kernel has none, by reading /proc/PID/pagemap. Any thread, one at a
// time.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::proc {

inline constexpr std::uint64_t kPageBytes = 4096;

struct PageRun {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class PageScan {
 public:
  enum class Kind {
    kAnonymous,    // of an anonymous mapping: present or swapped, and not the zero page
    kPrivateFile,  // of a private file mapping: pages that are the process's own by now
    kGuard,        // pages with MADV_GUARD_INSTALL (Linux 6.13): reading them fails
  };

  static Result<PageScan> open(RealPid pid);

  // Calls `found` with maximal runs in ascending order; an error of `found` ends the scan. The
  // process may run meanwhile, but then the answer is of no definite moment. Without the ioctl, and
  // without the right to see page frame numbers, the zero page counts as content.
  Status scan(std::uint64_t begin, std::uint64_t end, Kind kind,
              const std::function<Status(PageRun)>& found) const;

  // Pages, present or swapped, that were written since they were last protected, of a range that is
  // registered for asynchronous write protection as a whole (userfaultfd, UFFD_FEATURE_WP_ASYNC,
  // Linux 6.7). `protect`: they are protected again, at the same moment each. False: the range is
  // not registered, or the kernel cannot tell; `found` may have been called all the same.
  Result<bool> scan_written(std::uint64_t begin, std::uint64_t end, bool protect,
                            const std::function<Status(PageRun)>& found) const;

  // Whether kGuard finds any: before Linux 6.15 the kernel does not tell of them.
  bool tells_guards() const { return has_guard_; }
  bool has_ioctl() const { return has_ioctl_; }
  void use_ioctl(bool use) { has_ioctl_ = use; }  // for tests of the other way

 private:
  explicit PageScan(UniqueFd fd, RealPid pid) : fd_(std::move(fd)), pid_(pid) {}
  void probe();
  Status scan_by_ioctl(std::uint64_t begin, std::uint64_t end, Kind kind,
                       const std::function<Status(PageRun)>& found) const;
  struct Arguments;
  Status run_ioctl(std::uint64_t begin, std::uint64_t end, Arguments scan,
                   const std::function<Status(PageRun)>& found) const;
  Status scan_by_reading(std::uint64_t begin, std::uint64_t end, Kind kind,
                         const std::function<Status(PageRun)>& found) const;

  UniqueFd fd_;
  RealPid pid_;
  bool has_ioctl_ = false;
  bool has_guard_ = false;  // the ioctl knows guard pages (Linux 6.15)
};

}  // namespace ck::proc
