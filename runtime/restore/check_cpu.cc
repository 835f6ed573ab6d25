#include "runtime/restore/check_cpu.h"

#include "runtime/proc/cpu.h"

namespace ck::restore {
namespace {

proc::CpuFacts cpu_of(const image::HostRecord& host) {
  proc::CpuFacts facts;
  facts.model = host.cpu_model();
  facts.xcr0 = host.xfeatures();
  for (const image::CpuidLeaf& leaf : host.cpuid())
    facts.leaves.push_back(
        {leaf.leaf(), leaf.subleaf(), leaf.eax(), leaf.ebx(), leaf.ecx(), leaf.edx()});
  return facts;
}

}  // namespace

Status check_cpu(const image::HostRecord& host) {
  const std::vector<std::string> missing = proc::missing_features(cpu_of(host), proc::read_cpu());
  if (missing.empty()) return {};
  std::string names;
  for (const std::string& name : missing) names += (names.empty() ? "" : ", ") + name;
  return make_error(ErrorKind::kRefused,
                    "this CPU lacks what the job may be using: " + names + " (it ran on " +
                        host.cpu_model() + ")",
                    "restart on a host whose CPU has these features");
}

}  // namespace ck::restore
