#include <signal.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdio>
#include <unordered_set>

#include "runtime/abi/control_area.h"
#include "runtime/image/format.h"
#include "runtime/image/validate.h"

namespace ck::image {

namespace {

constexpr std::size_t kMinXstateBytes = 512 + 64;  // legacy area and header
constexpr std::size_t kSiginfoBytes = 128;
constexpr std::size_t kMaxAuxvBytes = 4096;
constexpr std::uint32_t kMaxVdsoBytes = 1 << 20;
constexpr std::uint32_t kAllAdvice = 2 * ADVICE_MERGEABLE - 1;
constexpr int kLimits = 16;    // RLIM_NLIMITS
constexpr int kMaxPolicy = 7;  // SCHED_EXT
constexpr std::size_t kMaxThreadName = 15;
constexpr int kMaxGroups = 65536;

bool is_address(std::uint64_t value) {
  return value < kAddressLimit;
}
bool is_pid(std::int32_t value) {
  return value > 0 && value <= kMaxPid;
}
bool is_signal(std::int32_t value) {
  return value > 0 && value <= kMaxSignal;
}
bool is_range(std::uint64_t begin, std::uint64_t size) {
  return begin <= kAddressLimit && size <= kAddressLimit - begin;
}
// Indices into the manifest are one higher than the place, 0 means none.
bool is_index(std::uint32_t index, int count) {
  return index <= static_cast<std::uint32_t>(count);
}

std::string mapping_name(const MappingRecord& mapping) {
  char text[64];
  std::snprintf(text, sizeof text, "mapping %" PRIx64 "-%" PRIx64, mapping.begin(), mapping.end());
  return text;
}

Status check_guards(const MappingRecord& mapping) {
  if (mapping.guard_begin_size() != mapping.guard_end_size())
    return invalid("has impossible guard pages");
  std::uint64_t after = mapping.begin();
  for (int i = 0; i < mapping.guard_begin_size(); ++i) {
    const std::uint64_t begin = mapping.guard_begin(i);
    const std::uint64_t end = mapping.guard_end(i);
    if (begin < after || end <= begin || end > mapping.end() || begin % kPageBytes != 0 ||
        end % kPageBytes != 0)
      return invalid("has impossible guard pages");
    after = end;
  }
  return {};
}

Status check_mapping(const MappingRecord& mapping, std::uint64_t after, const Manifest& manifest) {
  if (mapping.begin() % kPageBytes != 0 || mapping.end() % kPageBytes != 0 ||
      mapping.begin() >= mapping.end() || mapping.end() > kAddressLimit) {
    return invalid("has impossible bounds");
  }
  if (mapping.begin() < after) return invalid("overlaps the one before or is out of order");
  if (!Backing_IsValid(mapping.backing())) return invalid("is of an unknown kind");
  if ((mapping.protection() & ~static_cast<std::uint32_t>(PROT_READ | PROT_WRITE | PROT_EXEC)) !=
          0 ||
      mapping.advice() > kAllAdvice) {
    return invalid("has an unknown protection or advice");
  }
  CK_TRY(check_text(mapping.name(), "its name"));
  if (!is_index(mapping.object(), manifest.objects_size())) {
    return invalid("names an object that is not there");
  }
  const bool file = mapping.backing() == BACKING_FILE;
  if (file && mapping.object() == 0) return invalid("names no object");
  const bool ring = mapping.backing() == BACKING_IO_URING;
  if (mapping.open_file() > (ring ? static_cast<std::uint32_t>(manifest.open_files_size()) : 0u) ||
      (ring && mapping.open_file() == 0)) {
    return invalid("names an open file that is not there");
  }
  if ((file || ring) && (mapping.offset() % kPageBytes != 0 || mapping.offset() > kMaxFileOffset ||
                         mapping.end() - mapping.begin() > kMaxFileOffset - mapping.offset())) {
    return invalid("has an impossible offset");
  }
  return check_guards(mapping);
}

Status check_mappings(const ProcessRecord& process, const Manifest& manifest) {
  if (process.mappings_size() > kMaxMappings) return invalid("has too many mappings");
  std::uint64_t after = 0;
  for (const MappingRecord& mapping : process.mappings()) {
    if (Status status = check_mapping(mapping, after, manifest); !status.ok()) {
      return std::move(status).error().within(mapping_name(mapping));
    }
    after = mapping.end();
  }
  return {};
}

Status check_pending(const google::protobuf::RepeatedPtrField<SignalRecord>& signals) {
  for (const SignalRecord& signal : signals) {
    if (!is_signal(signal.number()) || signal.siginfo().size() != kSiginfoBytes) {
      return invalid("has an impossible pending signal");
    }
  }
  return {};
}

Status check_scheduling(const SchedulingRecord& scheduling) {
  if (scheduling.policy() > kMaxPolicy || scheduling.nice() < -20 || scheduling.nice() > 19 ||
      scheduling.priority() > 99 || scheduling.affinity().size() > kPageBytes) {
    return invalid("has impossible scheduling parameters");
  }
  return {};
}

// Of a leader that called pthread_exit nothing is left but its id.
bool state_fits(const ThreadRecord& thread) {
  if (thread.exited() && thread.frame().empty() && thread.xstate().empty()) return true;
  return thread.frame().size() == sizeof(abi::SignalFrame) &&
         thread.xstate().size() >= kMinXstateBytes && thread.xstate().size() <= abi::kXstateBytes;
}

Status check_thread(const ThreadRecord& thread) {
  if (!is_pid(thread.tid())) return invalid("has an impossible id");
  if (!state_fits(thread)) return invalid("has registers of an impossible size");
  if (!is_address(thread.fs_base()) || !is_address(thread.clear_child_tid()) ||
      !is_range(thread.robust_list(), thread.robust_list_size()) ||
      !is_range(thread.rseq_address(), thread.rseq_size()) ||
      !is_range(thread.alt_stack().address(), thread.alt_stack().size())) {
    return invalid("has an impossible address");
  }
  if (thread.robust_list_size() > kPageBytes || thread.rseq_size() > kPageBytes) {
    return invalid("has an impossible robust list or rseq area");
  }
  CK_TRY(check_text(thread.name(), "its name", kMaxThreadName));
  CK_TRY(check_pending(thread.pending()));
  return check_scheduling(thread.scheduling());
}

Status check_threads(const ProcessRecord& process) {
  if (process.threads().empty() || process.threads(0).tid() != process.pid()) {
    return invalid("has no leading thread");
  }
  if (process.threads_size() > kMaxThreads) return invalid("has too many threads");
  for (const ThreadRecord& thread : process.threads()) {
    if (Status status = check_thread(thread); !status.ok()) {
      return std::move(status).error().within("thread " + std::to_string(thread.tid()));
    }
  }
  return {};
}

Status check_layout(const MemoryLayoutRecord& layout) {
  for (std::uint64_t address :
       {layout.start_code(), layout.end_code(), layout.start_data(), layout.end_data(),
        layout.start_brk(), layout.brk(), layout.start_stack(), layout.arg_start(),
        layout.arg_end(), layout.env_start(), layout.env_end()}) {
    if (!is_address(address)) return invalid("has an impossible memory layout");
  }
  if (layout.auxv().size() > kMaxAuxvBytes || layout.auxv().size() % 16 != 0) {
    return invalid("has an impossible auxiliary vector");
  }
  return {};
}

Status check_vdso(const VdsoRecord& vdso) {
  if (vdso.size() > kMaxVdsoBytes || vdso.content().size() > kMaxVdsoBytes ||
      vdso.address() % kPageBytes != 0 || vdso.size() % kPageBytes != 0 ||
      !is_range(vdso.address(), vdso.size())) {
    return invalid("has an impossible vdso");
  }
  return {};
}

Status check_agent(const AgentRecord& agent) {
  if (agent.area() % kPageBytes != 0 || !is_range(agent.area(), agent.area_size()) ||
      !is_address(agent.serve()) || !is_address(agent.code_begin()) ||
      !is_address(agent.code_end()) || agent.code_begin() > agent.code_end()) {
    return invalid("has an agent at an impossible place");
  }
  return {};
}

Status check_descriptors(const ProcessRecord& process, const Manifest& manifest) {
  std::unordered_set<std::int32_t> fds;
  for (const DescriptorRecord& descriptor : process.descriptors()) {
    const std::string name = "descriptor " + std::to_string(descriptor.fd());
    if (descriptor.fd() < 0 || descriptor.fd() >= kMaxFd) return invalid(name + " is out of range");
    if (!fds.insert(descriptor.fd()).second) return invalid(name + " is there twice");
    if (descriptor.open_file() == 0 ||
        !is_index(descriptor.open_file(), manifest.open_files_size())) {
      return invalid(name + " leads to no open file");
    }
  }
  for (const FileLockRecord& lock : process.locks()) {
    if (!FileLockRecord::Kind_IsValid(lock.kind()) || lock.start() > kMaxFileOffset ||
        lock.length() > kMaxFileOffset - lock.start() || lock.fd() < -1 || lock.fd() >= kMaxFd ||
        !is_index(lock.open_file(), manifest.open_files_size())) {
      return invalid("has an impossible file lock");
    }
  }
  return {};
}

Status check_signals(const ProcessRecord& process) {
  std::unordered_set<std::int32_t> numbers;
  for (const SignalActionRecord& action : process.signal_actions()) {
    if (!is_signal(action.number()) || action.number() == SIGKILL || action.number() == SIGSTOP ||
        !numbers.insert(action.number()).second || !is_address(action.handler()) ||
        !is_address(action.restorer())) {
      return invalid("has an impossible signal action");
    }
  }
  return check_pending(process.pending());
}

Status check_timers(const ProcessRecord& process) {
  for (const IntervalTimerRecord& timer : process.interval_timers()) {
    if (timer.which() < 0 || timer.which() > 2 || timer.interval_us() < 0 ||
        timer.remaining_us() < 0) {
      return invalid("has an impossible interval timer");
    }
  }
  std::unordered_set<std::int32_t> ids;
  for (const PosixTimerRecord& timer : process.posix_timers()) {
    if (timer.id() < 0 || !ids.insert(timer.id()).second || timer.signal() < 0 ||
        timer.signal() > kMaxSignal || timer.notify() < 0 || timer.notify() > SIGEV_THREAD_ID ||
        timer.notify() == 3 || timer.interval_ns() < 0 || timer.remaining_ns() < 0 ||
        timer.tid() < 0 || timer.tid() > kMaxPid) {
      return invalid("has an impossible timer");
    }
  }
  return {};
}

Status check_credentials(const CredentialsRecord& credentials) {
  const auto four_or_none = [](int count) { return count == 0 || count == 4; };
  if (!four_or_none(credentials.uids_size()) || !four_or_none(credentials.gids_size()) ||
      credentials.groups_size() > kMaxGroups) {
    return invalid("has impossible credentials");
  }
  return {};
}

Status check_attributes(const ProcessRecord& process) {
  for (const LimitRecord& limit : process.limits()) {
    if (limit.resource() < 0 || limit.resource() >= kLimits || limit.soft() > limit.hard()) {
      return invalid("has an impossible resource limit");
    }
  }
  CK_TRY(check_text(process.cwd(), "its working directory"));
  CK_TRY(check_text(process.root(), "its root directory"));
  CK_TRY(check_text(process.exe(), "its program's path"));
  CK_TRY(check_text(process.hostname(), "its host's name", 255));
  if (process.umask() > 0777 || process.dumpable() < 0 || process.dumpable() > 2 ||
      process.parent_death_signal() < 0 || process.parent_death_signal() > kMaxSignal ||
      process.oom_score_adj() < -1000 || process.oom_score_adj() > 1000) {
    return invalid("has an impossible attribute");
  }
  return {};
}

}  // namespace

Status validate_process(const ProcessRecord& process, const Manifest& manifest) {
  if (!is_pid(process.pid()) || process.ppid() < 0 || process.ppid() > kMaxPid ||
      process.pgid() < 0 || process.pgid() > kMaxPid || process.sid() < 0 ||
      process.sid() > kMaxPid || process.exit_signal() < -1 || process.exit_signal() > kMaxSignal) {
    return invalid("has impossible ids");
  }
  if (!is_index(process.terminal(), manifest.terminals_size())) {
    return invalid("names a terminal that is not there");
  }
  if (!is_index(process.exe_object(), manifest.objects_size())) {
    return invalid("names a program that is not there");
  }
  CK_TRY(check_threads(process));
  CK_TRY(check_mappings(process, manifest));
  CK_TRY(check_layout(process.layout()));
  CK_TRY(check_vdso(process.vdso()));
  CK_TRY(check_agent(process.agent()));
  CK_TRY(check_descriptors(process, manifest));
  CK_TRY(check_signals(process));
  CK_TRY(check_timers(process));
  CK_TRY(check_credentials(process.credentials()));
  return check_attributes(process);
}

}  // namespace ck::image
