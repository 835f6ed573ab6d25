#include "runtime/job/host.h"

#include <sys/stat.h>
#include <unistd.h>

#include "runtime/job/small_file.h"

namespace ck::job {
namespace {

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

Result<Host> this_host() {
  Host host;
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0) return sys_error("get the host's name");
  host.name = name;
  host.boot_id = first_line(CK_TRY(read_small_file("/proc/sys/kernel/random/boot_id")));
  Result<std::string> machine = read_small_file("/etc/machine-id");
  if (machine.ok()) host.machine_id = first_line(*machine);
  struct stat info;
  if (stat("/proc/self/ns/pid", &info) != 0) return sys_error("read /proc/self/ns/pid");
  host.pid_namespace = info.st_ino;
  return host;
}

}  // namespace ck::job
