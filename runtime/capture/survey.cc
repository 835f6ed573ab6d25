// `ckpt check`: what would be refused, or be different after a restart, told from outside.
#include <unistd.h>

#include "runtime/capture/checkpoint.h"
#include "runtime/capture/seccomp.h"
#include "runtime/memory/mappings.h"
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
    if (mapping.vm_flags & (proc::kVmUffdMissing | proc::kVmUffdWp | proc::kVmUffdMinor))
      findings.push_back(
          {pid, range(mapping), "is watched by a userfaultfd, which is not kept", "", true});
  }
  return {};
}

void survey_status(RealPid pid, const proc::ProcessStatus& status, std::vector<Finding>& findings) {
  if (status.tracer)
    findings.push_back({pid, "process " + to_string(pid),
                        "is traced by process " + to_string(status.tracer), "detach the debugger",
                        true});
}

// The supervisor is the job's parent. A process that is not under ckrun is judged by its own
// parent.
Status survey_seccomp(RealPid pid, RealPid supervisor, std::vector<Finding>& findings) {
  const proc::ProcessStatus outer = CK_TRY(proc::read_status(supervisor));
  for (RealPid thread : CK_TRY(proc::read_threads(pid))) {
    const Result<proc::ProcessStatus> status = proc::read_status(thread);
    if (!status.ok() || !has_own_seccomp(*status, outer)) continue;
    findings.push_back({pid, "thread " + to_string(thread), kSeccompReason, "", true});
    break;
  }
  return {};
}

}  // namespace

Result<std::vector<Finding>> survey(RealPid root) {
  std::vector<Finding> findings;
  const proc::ProcessStatus status = CK_TRY(proc::read_status(root));
  survey_status(root, status, findings);
  CK_TRY(survey_seccomp(root, status.ppid ? status.ppid : RealPid(::getpid()), findings));
  for (RealPid child : CK_TRY(proc::read_children(root)))
    findings.push_back({root, "child process " + to_string(child),
                        "jobs of several processes are not supported yet",
                        "checkpoint when it has ended and was waited for", true});
  CK_TRY(survey_mappings(root, findings));
  for (const resources::Objection& objection : CK_TRY(resources::classify(std::span(&root, 1))))
    findings.push_back(
        {root, objection.object, objection.reason, objection.advice, objection.fatal});
  return findings;
}

}  // namespace ck::capture
