#include "runtime/memory/resident_runs.h"

#include <sys/syscall.h>

#include <algorithm>

namespace ck::memory {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kStep = 4096 * kPage;  // its answer fits into a mailbox

}  // namespace

std::vector<image::Run> merged(std::vector<image::Run> runs) {
  std::sort(runs.begin(), runs.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::vector<image::Run> result;
  for (const image::Run& run : runs) {
    if (!result.empty() && run.begin <= result.back().begin + result.back().length) {
      const std::uint64_t end =
          std::max(result.back().begin + result.back().length, run.begin + run.length);
      result.back().length = end - result.back().begin;
    } else {
      result.push_back(run);
    }
  }
  return result;
}

Result<std::vector<image::Run>> resident_runs(proc::Mailbox& box, std::uint64_t begin,
                                              std::uint64_t size, std::uint64_t offset) {
  std::vector<image::Run> runs;
  for (std::uint64_t done = 0; done < size; done += kStep) {
    const std::uint64_t length = std::min(size - done, kStep);
    box.clear();
    const proc::Mailbox::Address vector = box.reserve(length / kPage);
    box.add(SYS_mincore, begin + done, length, vector);
    CK_TRY(box.run());
    CK_TRY(box.expect_all("ask for resident pages"));
    const std::span<std::byte> resident = box.view(vector, length / kPage);
    for (std::size_t page = 0; page < resident.size(); ++page)
      if ((resident[page] & std::byte{1}) != std::byte{0})
        runs.push_back({offset + done + page * kPage, kPage});
  }
  box.clear();
  return merged(std::move(runs));
}

}  // namespace ck::memory
