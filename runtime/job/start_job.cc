#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/job/installation.h"
#include "runtime/job/remove_job.h"
#include "runtime/job/run_job.h"
#include "runtime/job/run_parts.h"
#include "runtime/job/signals.h"

namespace ck::job {
namespace {

std::vector<std::string> own_environment() {
  std::vector<std::string> result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    result.emplace_back(*entry);
  }
  return result;
}

Result<int> start_in(const JobDir& job, Ownership& ownership, const Installation& installation,
                     const process::LaunchOptions& options, unsigned max_threads,
                     UniqueFd control_socket, bool* launched) {
  const Settings& settings = job.info().settings;
  ControlArea area = CK_TRY(
      make_area(job, installation.agent, max_threads + kSpareSlots, settings.request_signal));
  CK_TRY(become_subreaper());
  std::unique_ptr<process::RootProcess> root = CK_TRY(process::launch(options, area));
  *launched = true;
  Status recorded = ownership.record_root(root->pid(), area.path());
  if (!recorded.ok()) spdlog::warn("{}", recorded.error().text());
  return supervise("ckrun", job, ownership, *root, std::move(control_socket), area, settings);
}

}  // namespace

Result<int> start_job(const StartRequest& request) {
  process::LaunchOptions options;
  options.signals = process::SignalState::current();
  options.command = request.command;
  options.environment = own_environment();
  Installation installation = CK_TRY(find_installation());
  CK_TRY(block_supervised_signals());

  JobInfo info;
  info.name = request.name;
  info.command = request.command;
  info.settings = request.settings;
  UniqueFd control_socket = CK_TRY(open_own_control_socket());
  JobDir job = CK_TRY(JobDir::create(request.jobs_folder, std::move(info)));
  Ownership ownership = CK_TRY(Ownership::acquire(job, false));
  bool launched = false;
  Result<int> status = start_in(job, ownership, installation, options, request.max_threads,
                                std::move(control_socket), &launched);
  // A job whose program never ran leaves nothing behind.
  if (!launched) (void)remove_job_folder(job);
  return status;
}

}  // namespace ck::job
