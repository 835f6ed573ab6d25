#include "runtime/capture/apart.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "runtime/proc/kcmp.h"
#include "runtime/proc/proc_file.h"

namespace ck::capture {

namespace {

constexpr const char* kPidsOfChildren = "ns/pid_for_children";

// "pid" and "time" themselves never change; a child has those that were meant for children.
constexpr struct {
  const char* link;
  const char* name;
} kNames[abi::kNamespaces] = {
    {"ns/user", "user"},      {"ns/mnt", "mount"},
    {"ns/net", "network"},    {"ns/uts", "UTS"},
    {"ns/ipc", "IPC"},        {"ns/cgroup", "cgroup"},
    {kPidsOfChildren, "pid"}, {"ns/time_for_children", "time"},
};

// "user:[4026531837]". 0: this kernel has none of that kind; or, of pids, nobody is in it yet.
// Nothing: it may not be asked for.
std::optional<std::uint32_t> namespace_of(RealPid thread, const char* link) {
  char text[64];
  const std::string path = proc::proc_path(thread, link);
  const ssize_t size = ::readlink(path.c_str(), text, sizeof text - 1);
  if (size < 0 && errno != ENOENT) return std::nullopt;
  if (size < 0) return 0;
  text[size] = '\0';
  const char* number = std::find(text, text + size, '[');
  return number == text + size ? 0
                               : static_cast<std::uint32_t>(std::strtoul(number + 1, nullptr, 10));
}

std::optional<std::string> other_namespace(RealPid thread, const Namespaces& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::optional<std::uint32_t> found = namespace_of(thread, kNames[i].link);
    // Of a thread that has ended nothing is told; only of pids may somebody living have none.
    if (!found || *found == expected[i]) continue;
    if (*found == 0 && kNames[i].link != kPidsOfChildren) return std::nullopt;
    return std::string("is in a ") + kNames[i].name + " namespace that the job has made";
  }
  return std::nullopt;
}

bool differ(RealPid a, RealPid b, proc::Shared what) {
  const Result<bool> shared = proc::share(a, b, what);
  return shared.ok() && !*shared;
}

bool equal(RealPid a, RealPid b, proc::Shared what) {
  const Result<bool> shared = proc::share(a, b, what);
  return shared.ok() && *shared;
}

}  // namespace

Status note_namespaces(const ControlArea& area, RealPid process) {
  Namespaces found{};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::optional<std::uint32_t> inode = namespace_of(process, kNames[i].link);
    if (!inode) return sys_error("ask for the namespaces of process " + to_string(process));
    found[i] = *inode;
  }
  std::copy(found.begin(), found.end(), area.header()->namespaces);
  return {};
}

Namespaces noted_namespaces(const abi::AreaHeader& header) {
  Namespaces noted;
  std::copy(std::begin(header.namespaces), std::end(header.namespaces), noted.begin());
  return noted;
}

std::optional<std::string> other_credentials(const proc::ProcessStatus& leader,
                                             const proc::ProcessStatus& thread) {
  const auto has = [](const char* what) {
    return std::string("has other ") + what +
           " than the rest of its process, which is not kept for each thread";
  };
  if (thread.uids != leader.uids) return has("user ids");
  if (thread.gids != leader.gids || thread.groups != leader.groups) return has("group ids");
  if (thread.cap_inheritable != leader.cap_inheritable ||
      thread.cap_permitted != leader.cap_permitted ||
      thread.cap_effective != leader.cap_effective || thread.cap_bounding != leader.cap_bounding ||
      thread.cap_ambient != leader.cap_ambient)
    return has("capabilities");
  if (thread.no_new_privs != leader.no_new_privs) return has("no_new_privs");
  return std::nullopt;
}

std::optional<Apart> find_apart(std::span<const RealPid> threads, const Namespaces& expected) {
  const bool known = std::any_of(expected.begin(), expected.end(), [](auto i) { return i != 0; });
  for (RealPid thread : threads) {
    if (known)
      if (auto reason = other_namespace(thread, expected)) return Apart{thread, *reason};
    if (thread == threads[0]) continue;
    if (differ(threads[0], thread, proc::Shared::kDescriptorTable))
      return Apart{thread, "has descriptors of its own (unshare with CLONE_FILES)"};
    if (differ(threads[0], thread, proc::Shared::kFileSystem))
      return Apart{thread, "has a working directory of its own (unshare with CLONE_FS)"};
  }
  return std::nullopt;
}

std::optional<std::string> shared_with(RealPid child, RealPid parent) {
  if (equal(child, parent, proc::Shared::kMemory)) return "its memory (clone with CLONE_VM)";
  if (equal(child, parent, proc::Shared::kDescriptorTable))
    return "its descriptors (clone with CLONE_FILES)";
  if (equal(child, parent, proc::Shared::kFileSystem))
    return "its working directory (clone with CLONE_FS)";
  return std::nullopt;
}

}  // namespace ck::capture
