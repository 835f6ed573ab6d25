// The host as the image remembers it: what the program could have seen of the CPU and the kernel.
#include <sys/utsname.h>

#include "runtime/capture/process_state.h"
#include "runtime/proc/cpu.h"

namespace ck::capture {

image::HostRecord describe_host() {
  image::HostRecord host;
  utsname names{};
  ::uname(&names);
  host.set_hostname(names.nodename);
  host.set_kernel(names.release);
  host.set_machine(names.machine);
  const proc::CpuFacts cpu = proc::read_cpu();
  host.set_cpu_model(cpu.model);
  for (const proc::CpuidLeaf& leaf : cpu.leaves) {
    image::CpuidLeaf& saved = *host.add_cpuid();
    saved.set_leaf(leaf.leaf);
    saved.set_subleaf(leaf.subleaf);
    saved.set_eax(leaf.eax);
    saved.set_ebx(leaf.ebx);
    saved.set_ecx(leaf.ecx);
    saved.set_edx(leaf.edx);
  }
  for (const proc::XsaveComponent& component : cpu.xsave) {
    image::XsaveComponent& saved = *host.add_xsave();
    saved.set_bit(component.bit);
    saved.set_offset(component.offset);
    saved.set_size(component.size);
  }
  host.set_xfeatures(cpu.xcr0);
  host.set_xsave_bytes(cpu.xsave_size);
  return host;
}

}  // namespace ck::capture
