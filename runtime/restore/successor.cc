#include "runtime/restore/successor.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <string>

#include "runtime/base/timespec.h"
#include "runtime/memory/posix_shared_memory.h"
#include "runtime/restore/inherited_memory.h"

namespace ck::restore {

namespace {

constexpr std::uint32_t kNoFile = ~0u;
constexpr std::int64_t kLongestLeapNs = 5'000'000'000;

Error not_in_advance(const std::string& what) {
  return make_error(ErrorKind::kRefused,
                    "memory is not put in place in advance for a job with " + what);
}

Error changed(const image::ProcessRecord& process, const std::string& what) {
  return make_error(ErrorKind::kRefused, "process " + std::to_string(process.pid()) +
                                             " of the job " + what +
                                             " since its memory was put in place");
}

Status check_process(const image::ProcessRecord& earlier, const image::ProcessRecord& later) {
  if (!runs_same_program(earlier, later)) return changed(later, "runs another program");
  if (earlier.ppid() != later.ppid()) return changed(later, "has another parent");
  if (earlier.threads_size() != later.threads_size())
    return changed(later, "has another number of threads");
  if (earlier.terminal() != later.terminal()) return changed(later, "has another terminal");
  if (earlier.agent().SerializeAsString() != later.agent().SerializeAsString())
    return changed(later, "has another agent");
  return {};
}

bool same_terminal(const image::TerminalRecord& a, const image::TerminalRecord& b) {
  return a.place() == b.place() && a.number() == b.number() && a.session() == b.session();
}

}  // namespace

Status check_in_advance(const image::Manifest& manifest) {
  for (const image::TerminalRecord& terminal : manifest.terminals())
    if (terminal.place() == image::TerminalRecord::OUTSIDE)
      return not_in_advance("a terminal that is not its own");
  if (!manifest.system_v().empty()) return not_in_advance("System V objects");
  if (!manifest.ended().empty()) return not_in_advance("processes that have ended");
  for (const image::ObjectRecord& object : manifest.objects())
    if (memory::keeps_posix_shared_memory(object)) return not_in_advance("shared memory");
  for (const image::ProcessRecord& process : manifest.processes())
    for (const image::MappingRecord& mapping : process.mappings())
      if (mapping.object() != 0 &&
          manifest.objects(static_cast<int>(mapping.object()) - 1).kind() !=
              image::ObjectRecord::PATH)
        return not_in_advance("shared memory, or mapped files without a name");
  return {};
}

Status check_successor(const image::Manifest& earlier, const image::Manifest& later,
                       const TreeOptions& options) {
  CK_TRY(check_in_advance(later));
  if (CK_TRY(plan_tree(earlier, options)) != CK_TRY(plan_tree(later, options)))
    return changed(later.processes(0), "has other processes beside it");
  for (int i = 0; i < later.processes_size(); ++i)
    CK_TRY(check_process(earlier.processes(i), later.processes(i)));
  if (!std::equal(earlier.terminals().begin(), earlier.terminals().end(), later.terminals().begin(),
                  later.terminals().end(), same_terminal))
    return changed(later.processes(0), "has other terminals");
  if (earlier.job().hostname() != later.job().hostname())
    return changed(later.processes(0), "has another hostname");
  return {};
}

void renumber_files(std::vector<MapStep>& steps, const image::Manifest& earlier,
                    const image::Manifest& later) {
  std::map<std::string, std::uint32_t> numbers;
  for (int i = 0; i < later.objects_size(); ++i)
    numbers.emplace(later.objects(i).SerializeAsString(), static_cast<std::uint32_t>(i) + 1);
  for (MapStep& step : steps) {
    if (step.object == 0) continue;
    const auto& file = earlier.objects(static_cast<int>(step.object) - 1);
    const auto found = numbers.find(file.SerializeAsString());
    step.object = found == numbers.end() ? kNoFile : found->second;
  }
}

image::ClockRecord clocks_now(const image::ClockRecord& at_checkpoint) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t passed =
      std::max<std::int64_t>(to_nanoseconds(now) - at_checkpoint.realtime_ns(), 0);
  image::ClockRecord clocks = at_checkpoint;
  clocks.set_monotonic_ns(clocks.monotonic_ns() + passed);
  clocks.set_boottime_ns(clocks.boottime_ns() + passed);
  clocks.set_realtime_ns(clocks.realtime_ns() + passed);
  return clocks;
}

Status check_clocks(const image::ClockRecord& saved, const image::ClockRecord& now) {
  const std::int64_t leap =
      std::min(now.monotonic_ns() - saved.monotonic_ns(), now.boottime_ns() - saved.boottime_ns());
  if (leap >= 0 && leap <= kLongestLeapNs) return {};
  return make_error(ErrorKind::kRefused,
                    "the clocks of the two hosts differ too much for memory in advance");
}

}  // namespace ck::restore
