#include "runtime/restore/spawn_child.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>

#include "runtime/base/standard_streams.h"
#include "runtime/base/timespec.h"

namespace ck::restore {

namespace {

constexpr int kRoomForMore = 64;
constexpr int kRestorerOffset = 5;  // above HelperDescriptors' own

// Capabilities survive the restorer's exec only as ambient ones (capabilities(7)).
void make_capabilities_ambient() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  ::syscall(SYS_capget, &header, data);
  data[0].inheritable = data[0].permitted;
  data[1].inheritable = data[1].permitted;
  ::syscall(SYS_capset, &header, data);
  for (int capability = 0; capability < 64; ++capability)
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
}

// Offset of this process's own time namespace. Asked once: after unshare(CLONE_NEWTIME) the file
// shows that of future children.
std::int64_t own_offset(const std::string& clock) {
  static const std::map<std::string, std::int64_t> offsets = [] {
    std::map<std::string, std::int64_t> result;
    std::ifstream file("/proc/self/timens_offsets");
    std::string name;
    std::int64_t seconds = 0;
    std::int64_t rest = 0;
    while (file >> name >> seconds >> rest) result[name] = seconds * 1'000'000'000 + rest;
    return result;
  }();
  const auto found = offsets.find(clock);
  return found == offsets.end() ? 0 : found->second;
}

std::int64_t host_clock(clockid_t clock, const char* name) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return to_nanoseconds(now) - own_offset(name);
}

std::string offset_line(const char* name, std::int64_t offset) {
  const timespec split = to_timespec(offset);
  return std::string(name) + " " + std::to_string(split.tv_sec) + " " +
         std::to_string(split.tv_nsec) + "\n";
}

}  // namespace

std::string time_offsets(const image::ClockRecord& clocks) {
  return offset_line("monotonic",
                     clocks.monotonic_ns() - host_clock(CLOCK_MONOTONIC, "monotonic")) +
         offset_line("boottime", clocks.boottime_ns() - host_clock(CLOCK_BOOTTIME, "boottime"));
}

int highest_descriptor(const image::Manifest& manifest) {
  int highest = -1;
  for (const image::ProcessRecord& process : manifest.processes())
    for (const image::DescriptorRecord& descriptor : process.descriptors())
      highest = std::max(highest, descriptor.fd());
  return highest;
}

Result<ChildPlan> plan_child(const image::Manifest& manifest, const ControlArea& area,
                             int restorer_fd, int channel_fd, unsigned slot) {
  ChildPlan plan;
  plan.area_fd = area.fd();
  plan.channel_fd = channel_fd;
  plan.restorer_fd = restorer_fd;
  const int highest = std::max({area.fd(), restorer_fd, channel_fd, highest_descriptor(manifest)});
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  plan.helpers.base = highest + 1;
  // A later image of the job may have some more.
  if (limit.rlim_max > static_cast<rlim_t>(highest + kRoomForMore + kRestorerOffset + 2))
    plan.helpers.base += kRoomForMore;
  const auto needed = static_cast<rlim_t>(plan.helpers.base + kRestorerOffset + 1);
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < needed)
    return make_error(ErrorKind::kRefused,
                      "the job's descriptors reach " + std::to_string(highest) +
                          ", the limit here is " + std::to_string(limit.rlim_max),
                      "raise it with ulimit -Hn");
  char here[HOST_NAME_MAX + 1] = {};
  ::gethostname(here, sizeof here - 1);
  if (manifest.job().hostname() != here) plan.hostname = manifest.job().hostname();
  std::snprintf(plan.slot_text, sizeof plan.slot_text, "%u", slot);
  std::snprintf(plan.area_text, sizeof plan.area_text, "%d", plan.helpers.area());
  return plan;
}

void become_restorer(const ChildPlan& plan) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  process::SignalState{}.apply();
  if (!plan.hostname.empty() &&
      ::syscall(SYS_sethostname, plan.hostname.c_str(), plan.hostname.size()) != 0)
    ::_exit(248);
  if (plan.keep_capabilities) make_capabilities_ambient();
  for (int stream = 0; stream < 3; ++stream)
    if (!is_stand_in(stream)) ::dup3(stream, plan.helpers.base + stream, 0);
  ::dup3(plan.area_fd, plan.helpers.area(), 0);
  ::dup3(plan.channel_fd, plan.helpers.channel(), 0);
  const int restorer = plan.helpers.base + kRestorerOffset;
  ::dup3(plan.restorer_fd, restorer, O_CLOEXEC);
  ::syscall(SYS_close_range, 0, plan.helpers.base - 1, 0);
  ::syscall(SYS_close_range, restorer + 1, ~0u, 0);
  char name[] = "ckrun-restorer";
  char* const argv[] = {name, const_cast<char*>(plan.area_text), const_cast<char*>(plan.slot_text),
                        nullptr};
  char* const envp[] = {nullptr};
  ::syscall(SYS_execveat, restorer, "", argv, envp, AT_EMPTY_PATH);
  ::_exit(249);
}

std::uint64_t clone_flags(const ChildPlan& plan) {
  return plan.hostname.empty() ? 0 : CLONE_NEWUTS;
}

bool joins_session(const image::Manifest& manifest) {
  if (own_terminal(manifest) != nullptr) return false;
  return UniqueFd(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)).valid();
}

bool joins_group(const image::Manifest& manifest) {
  const image::ProcessRecord& root = manifest.processes(0);
  return joins_session(manifest) && root.pgid() != root.pid();
}

const image::TerminalRecord* own_terminal(const image::Manifest& manifest) {
  for (const image::TerminalRecord& record : manifest.terminals())
    if (record.place() == image::TerminalRecord::OWN) return &record;
  return nullptr;
}

pid_t clone_with_id(std::uint64_t flags, pid_t wanted) {
  pid_t ids[1] = {wanted};
  clone_args args{};
  args.flags = flags;
  args.exit_signal = SIGCHLD;
  if (wanted != 0) {
    args.set_tid = reinterpret_cast<std::uint64_t>(ids);
    args.set_tid_size = 1;
  }
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
}

}  // namespace ck::restore
