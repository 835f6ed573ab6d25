// `ckpt check`: what would be refused, or be different after a restart, told from outside.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "runtime/abi/control_area.h"
#include "runtime/base/unique_fd.h"
#include "runtime/capture/apart.h"
#include "runtime/capture/checkpoint.h"
#include "runtime/capture/freeze.h"
#include "runtime/capture/frozen_job.h"
#include "runtime/capture/process_state.h"
#include "runtime/capture/seccomp.h"
#include "runtime/memory/mappings.h"
#include "runtime/proc/control_area.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"
#include "runtime/resources/capture.h"

namespace ck::capture {

namespace {

std::string range(const proc::Mapping& mapping) {
  char text[64];
  std::snprintf(text, sizeof text, "mapping %lx-%lx ", mapping.begin, mapping.end);
  return text + mapping.path;
}

Status survey_mappings(RealPid pid, std::vector<Finding>& findings) {
  for (const proc::Mapping& mapping : CK_TRY(proc::read_smaps(pid))) {
    const memory::Classified classified = memory::classify(mapping, 0);
    if (classified.kind == memory::Class::kUnsupported)
      findings.push_back({pid, range(mapping), classified.reason, "", true});
    // Not kVmUffdWp: it may be the supervisor's (change_tracker.h). If it is the program's, the
    // descriptor is found.
    if (mapping.vm_flags & (proc::kVmUffdMissing | proc::kVmUffdMinor))
      findings.push_back(
          {pid, range(mapping), "is watched by a userfaultfd, which is not kept", "", true});
  }
  return {};
}

// `root`: of the job's first process; `supervisor`: of its parent.
void survey_status(RealPid pid, const proc::ProcessStatus& status, const proc::ProcessStatus& root,
                   const proc::ProcessStatus& supervisor, std::vector<Finding>& findings) {
  const std::string who = "process " + to_string(pid) + " (" + status.name + ")";
  if (const auto reason = other_user(status, supervisor))
    findings.push_back({pid, who, *reason, "", true});
  if (status.tracer)
    findings.push_back({pid, who, "is traced by process " + to_string(status.tracer),
                        "detach the debugger", true});
  if (status.ns_tgid.size() != root.ns_tgid.size())
    findings.push_back({pid, who, "is in a pid namespace that the job has made", "", true});
}

void survey_folder(RealPid pid, std::vector<Finding>& findings) {
  if (const auto folder = removed_folder(pid))
    findings.push_back({pid, "working directory " + *folder, "was removed",
                        "a restart needs it: make it again", true});
}

// The control area that a process has mapped, if any.
std::optional<proc::Mapping> area_of(RealPid pid) {
  const Result<std::vector<proc::Mapping>> mappings = proc::read_maps(pid);
  if (!mappings.ok()) return std::nullopt;
  for (const proc::Mapping& mapping : *mappings)
    if (mapping.shared && mapping.path.find("/ckrun-") != std::string::npos) return mapping;
  return std::nullopt;
}

// What of its header is needed; as if all were 0 where it cannot be read.
struct AreaFacts {
  std::string path;  // empty: there is none
  unsigned slots = 0;
  std::int32_t request_signal = 0;
  std::uint32_t virtual_ids = 0;
  Namespaces namespaces{};
};
AreaFacts facts_of(const proc::Mapping& area) {
  AreaFacts facts;
  facts.path = area.path;
  facts.slots = ControlArea::slots_of_size(area.size());
  const UniqueFd file(::open(area.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return facts;
  const auto ids = static_cast<off_t>(offsetof(abi::AreaHeader, ids) + offsetof(abi::IdTable, on));
  (void)!::pread(file.get(), &facts.virtual_ids, sizeof facts.virtual_ids, ids);
  (void)!::pread(file.get(), &facts.request_signal, sizeof facts.request_signal,
                 offsetof(abi::AreaHeader, request_signal));
  (void)!::pread(file.get(), facts.namespaces.data(), sizeof facts.namespaces,
                 offsetof(abi::AreaHeader, namespaces));
  return facts;
}

// The kernel shows such a process to root alone; a checkpoint asks it to be dumpable for a moment.
bool is_undumpable(RealPid pid, const proc::ProcessStatus& status, const AreaFacts& area,
                   std::vector<Finding>& findings) {
  if (::access(proc::proc_path(pid, "fd").c_str(), R_OK) == 0 || errno != EACCES) return false;
  const bool lost = !area.path.empty() && !listens_to(status, area.request_signal);
  findings.push_back(
      {pid, "process " + to_string(pid) + " (" + status.name + ")",
       lost ? kOutOfReach : "has made itself undumpable, so only a checkpoint can look at it", "",
       lost});
  return true;
}

void survey_control(RealPid pid, const proc::ProcessStatus& status, const AreaFacts& area,
                    std::vector<Finding>& findings) {
  if (area.path.empty() || area_of(pid)) return;
  const Result<std::vector<proc::Mapping>> mappings = proc::read_maps(pid);
  if (!mappings.ok()) return;
  const auto why = why_uncontrolled(pid, *mappings, area.path);
  if (why.ok() && *why)
    findings.push_back({pid, "process " + to_string(pid) + " (" + status.name + ")", (*why)->reason,
                        (*why)->advice, true});
}

// One for each process.
Status survey_threads(RealPid pid, const proc::ProcessStatus& outer, const AreaFacts& area,
                      std::vector<Finding>& findings) {
  std::vector<RealPid> threads;
  std::optional<proc::ProcessStatus> first;
  for (RealPid thread : CK_TRY(proc::read_program_threads(pid))) {
    const Result<proc::ProcessStatus> status = proc::read_status(thread);
    if (!status.ok() || status->vm_size == 0) continue;  // it has ended
    threads.push_back(thread);
    if (!first) first = *status;
    std::optional<std::string> reason = other_credentials(*first, *status);
    if (has_own_seccomp(*status, outer, area.virtual_ids != 0)) reason = kSeccompReason;
    if (!reason) continue;
    findings.push_back({pid, "thread " + to_string(thread), *reason, "", true});
    return {};
  }
  if (const auto apart = find_apart(threads, area.namespaces))
    findings.push_back({pid, "thread " + to_string(apart->thread), apart->reason, "", true});
  return {};
}

// Which shares its memory until it has started a program.
bool has_vfork_child(RealPid pid) {
  const Result<std::vector<RealPid>> threads = proc::read_program_threads(pid);
  return threads.ok() && std::any_of(threads->begin(), threads->end(), [](RealPid thread) {
           const Result<proc::ProcessStatus> status = proc::read_status(thread);
           return status.ok() && status->state == 'D';
         });
}

void survey_sharing(RealPid pid, const proc::ProcessStatus& status,
                    std::vector<Finding>& findings) {
  if (const auto shared = shared_with(pid, status.ppid); shared && !has_vfork_child(status.ppid))
    findings.push_back({pid, "process " + to_string(pid) + " (" + status.name + ")",
                        "shares with its parent " + *shared, "", true});
}

constexpr int kLooks = 3;

Result<std::vector<Finding>> look(RealPid root) {
  std::vector<Finding> findings;
  const proc::ProcessStatus status = CK_TRY(proc::read_status(root));
  std::vector<RealPid> living;
  const std::optional<proc::Mapping> area = area_of(CK_TRY(living_thread(root)));
  const AreaFacts facts = area ? facts_of(*area) : AreaFacts();
  // A process that is not under ckrun is judged by its own parent.
  const proc::ProcessStatus outer =
      CK_TRY(proc::read_status(status.ppid ? status.ppid : RealPid(::getpid())));
  std::size_t slots = 0;
  for (RealPid pid : CK_TRY(job_members(root, area ? area->inode : 0))) {
    const Result<proc::ProcessStatus> now = proc::read_status(pid);
    const Result<RealPid> witness = living_thread(pid);
    if (!now.ok() || !witness.ok() || !proc::any_thread_alive(pid)) continue;
    slots += now->threads + kSpareSlots;
    survey_status(pid, *now, status, outer, findings);
    if (is_undumpable(*witness, *now, facts, findings)) continue;
    living.push_back(*witness);
    survey_folder(*witness, findings);
    survey_control(*witness, *now, facts, findings);
    Status surveyed = survey_threads(pid, outer, facts, findings);
    if (pid != root) survey_sharing(*witness, *now, findings);
    if (surveyed.ok()) surveyed = survey_mappings(*witness, findings);
    // A child may have ended, or be out of reach, which the status has told.
    if (!surveyed.ok() && pid == root) return std::move(surveyed).error();
  }
  if (facts.slots != 0 && slots > facts.slots)
    findings.push_back({root, "the job", "has more processes and threads than it was started for",
                        "start it with a larger ckrun --max-threads", true});
  for (const resources::Objection& objection : CK_TRY(resources::classify(living)))
    findings.push_back(
        {objection.pid, objection.object, objection.reason, objection.advice, objection.fatal});
  return findings;
}

}  // namespace

Result<std::vector<Finding>> survey(RealPid root) {
  std::vector<Finding> findings = CK_TRY(look(root));
  for (int again = 1; again < kLooks && !findings.empty(); ++again) {
    const std::vector<Finding> now = CK_TRY(look(root));
    std::erase_if(findings, [&now](const Finding& finding) {
      return std::find(now.begin(), now.end(), finding) == now.end();
    });
  }
  return findings;
}

}  // namespace ck::capture
