#include "driver/daemon/host_report.h"

#include <sys/utsname.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "runtime/job/small_file.h"
#include "runtime/proc/cpu.h"

namespace ck::daemon {
namespace {

constexpr char kSupervisorStart[] = "@ckrun-";
constexpr std::size_t kLongestNetUnix = 64u << 20;

void add_cpu(protocol::wire::HostReport& report) {
  static const proc::CpuFacts facts = proc::read_cpu();
  std::vector<std::string> features = proc::missing_features(facts, proc::CpuFacts());
  std::sort(features.begin(), features.end());
  std::string joined;
  for (const std::string& name : features) {
    report.add_cpu_features(name);
    joined += name + ' ';
  }
  report.set_cpu_model(facts.model);
  report.set_cpu_digest(XXH3_64bits(joined.data(), joined.size()));
}

}  // namespace

Result<Memory> parse_meminfo(std::string_view text) {
  std::istringstream lines{std::string(text)};
  Memory memory;
  unsigned found = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kibibytes = 0;
    if (!(words >> name >> kibibytes)) continue;
    if (name == "MemTotal:") memory.bytes = kibibytes << 10, ++found;
    if (name == "MemAvailable:") memory.free_bytes = kibibytes << 10, ++found;
  }
  if (found != 2) return make_error(ErrorKind::kSystem, "/proc/meminfo tells no memory");
  memory.free_bytes = std::min(memory.free_bytes, memory.bytes);
  return memory;
}

Result<Load> parse_loadavg(std::string_view text) {
  std::istringstream words{std::string(text)};
  Load load;
  if (words >> load.one >> load.five >> load.fifteen) return load;
  return make_error(ErrorKind::kSystem, "/proc/loadavg tells no load");
}

unsigned count_supervisors(std::string_view net_unix) {
  std::istringstream lines{std::string(net_unix)};
  std::set<std::string> names;  // each accepted connection has the name too
  for (std::string line; std::getline(lines, line);) {
    std::size_t at = line.find(kSupervisorStart);
    if (at != std::string::npos) names.insert(line.substr(at));
  }
  return static_cast<unsigned>(names.size());
}

Result<protocol::wire::HostReport> report_host(const std::string& name) {
  protocol::wire::HostReport report;
  utsname system{};
  if (uname(&system) != 0) return sys_error("read this system's name");
  report.set_host(name);
  report.set_version(CKRUN_VERSION);
  report.set_kernel(system.release);
  report.set_processors(static_cast<std::uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN))));
  Load load = CK_TRY(parse_loadavg(CK_TRY(job::read_small_file("/proc/loadavg"))));
  report.set_load_1(load.one);
  report.set_load_5(load.five);
  report.set_load_15(load.fifteen);
  Memory memory = CK_TRY(parse_meminfo(CK_TRY(job::read_small_file("/proc/meminfo"))));
  report.set_memory_bytes(memory.bytes);
  report.set_memory_free_bytes(memory.free_bytes);
  add_cpu(report);
  // The jobs of all users, without reading a file of any.
  report.set_jobs(
      count_supervisors(CK_TRY(job::read_small_file("/proc/net/unix", kLongestNetUnix))));
  return report;
}

}  // namespace ck::daemon
