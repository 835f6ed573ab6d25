#include "runtime/job/take_checkpoint.h"

#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/image/basis.h"
#include "runtime/image/generations.h"
#include "runtime/job/json.h"
#include "runtime/job/settings_json.h"

namespace ck::job {
namespace {

image::JobRecord job_record(const JobInfo& info, const CheckpointOrder& order,
                            std::uint64_t generation) {
  image::JobRecord record;
  record.set_id(info.id);
  record.set_name(info.name);
  record.set_generation(generation);
  for (const std::string& word : info.command) record.add_command(word);
  record.set_uid(getuid());
  record.set_gid(getgid());
  record.set_captured_unix_ns(unix_now_ns());
  record.set_request_signal(format_signal(info.settings.request_signal));
  record.set_hostname(order.settings.hostname);
  record.set_settings(print_json(settings_json(order.lasting)));
  return record;
}

Status prune(const JobDir& job, const Ownership& ownership, unsigned keep) {
  CK_TRY(ownership.check_still_mine());
  image::Retention retention = CK_TRY(image::keep_newest(job.path(), keep));
  for (const std::string& line : retention.damaged) spdlog::warn("{}", line);
  return {};
}

}  // namespace

Result<CheckpointOutcome> take_checkpoint(const JobDir& job, const Ownership& ownership,
                                          const CheckpointFunction& checkpoint,
                                          const CheckpointOrder& order, const Hold& hold,
                                          image::Progress* progress) {
  const Settings& settings = order.settings;
  auto still_mine = [&ownership] { return ownership.check_still_mine(); };
  CK_TRY(still_mine());
  CheckpointOutcome outcome;
  outcome.generation = CK_TRY(image::next_generation(job.path()));
  outcome.image = job.path() + "/" + image::generation_name(outcome.generation);
  capture::CheckpointOptions options;
  options.image_path = outcome.image;
  options.writer.codec = settings.compression.codec;
  options.writer.level = settings.compression.level;
  options.writer.threads = settings.threads;
  if (!order.basis.empty()) options.writer.basis = CK_TRY(image::Basis::load(order.basis));
  options.track = order.track;
  options.job = job_record(job.info(), order, outcome.generation);
  options.timeout = settings.timeout;
  options.allow_uncontrolled = settings.allow_uncontrolled;
  options.before_rename = still_mine;
  options.stop = order.stop;
  if (hold)
    options.goes_on = [&](const image::WriteReport& report) {
      CheckpointOutcome held = outcome;
      held.report.image = report;
      return hold(held);
    };
  options.tcp = settings.tcp;
  options.progress = progress;
  outcome.report = CK_TRY(checkpoint(options));
  outcome.stopped = outcome.report.ended;
  for (const std::string& line : outcome.report.left_out)
    outcome.warning += (outcome.warning.empty() ? "" : "; ") + line;
  spdlog::info("generation {} of job {}: pause {} ms, {} bytes", outcome.generation,
               job.info().name, outcome.report.pause.count() / 1e6,
               outcome.report.image.image_bytes);
  if (settings.keep > 0) {
    Status kept = prune(job, ownership, settings.keep);
    if (!kept.ok())
      outcome.warning += std::string(outcome.warning.empty() ? "" : "; ") +
                         "old images were not removed: " + kept.error().text();
  }
  return outcome;
}

}  // namespace ck::job
