// The host that a job leaves.
#include <unistd.h>

#include "driver/migrate/copy_rounds.h"
#include "driver/migrate/job_control.h"
#include "driver/migrate/job_files.h"
#include "driver/migrate/steps.h"
#include "driver/transfer/send_image.h"
#include "driver/transfer/stream.h"

namespace ck::driver::migrate {
namespace {

using handover::Step;
using transfer::Sent;

Result<wire::Result> freeze_and_capture(const StepPlan& plan, const job::JobDir& job,
                                        const Report& report) {
  report(progress("last checkpoint", 0, 0));
  wire::Result result;
  const TakenImage taken = CK_TRY(take_image(plan, job, true, plan.link));
  result.set_image(taken.path);
  result.set_compression(taken.compression);
  return result;
}

Result<wire::Result> send_last(const StepPlan& plan, UniqueFd socket, const Report& report) {
  transfer::Stream stream(std::move(socket));
  const auto image = CK_TRY(transfer::OutgoingImage::open(plan.image));
  const auto tell = [&](std::uint64_t done, std::uint64_t total) {
    report(progress("last part", done, total));
  };
  wire::Result result;
  // Files first: the other side is ready to restore as soon as it has the image.
  if (ships(plan)) {
    const SentFiles files = CK_TRY(send_last_files(stream, plan, tell));
    result.set_files(files.files);
    result.set_file_bytes(files.bytes);
    result.set_sent_bytes(files.sent.sent_bytes);
    result.set_image_bytes(files.sent.image_bytes);
  }
  const Sent sent = CK_TRY(transfer::send_image(stream, *image, {}, tell));
  result.set_sent_bytes(result.sent_bytes() + sent.sent_bytes);
  result.set_image_bytes(result.image_bytes() + sent.image_bytes);
  const image::Footer& footer = image->head().footer;
  result.mutable_sealed()->set_image_bytes(footer.file_size);
  result.mutable_sealed()->set_manifest_hash(&footer.manifest_hash, sizeof footer.manifest_hash);
  return result;
}

// Files of its early images go later (kDropImage): the other host waits for this.
Status end_original(const StepPlan& plan, const job::JobDir& job, std::uint64_t counter) {
  CK_TRY(forget_sent_files(plan));
  return unhold(job, plan.jobs_folder, {.end = true, .counter = counter, .moved_to = plan.peer});
}

Status bring_back(const StepPlan& plan, const job::JobDir& job, std::uint64_t counter) {
  const Life life = CK_TRY(settled_life_of(job));
  if (life.kind == Life::Kind::kHeld) return unhold(job, plan.jobs_folder, {.counter = counter});
  const bool never_stopped = life.kind == Life::Kind::kRuns;
  if (never_stopped || life.finished || life.counter >= counter) return {};
  if (plan.image.empty()) return {};  // it has died while it ran; what it left is its user's
  return restart(job, plan.jobs_folder, plan.image, counter_option(counter));
}

Status continue_here(const StepPlan& plan, const job::JobDir& job, std::uint64_t counter) {
  CK_TRY(bring_back(plan, job, counter));
  CK_TRY(remove_early(job.path()));
  return forget_sent_files(plan);
}

}  // namespace

Result<wire::Result> do_source_step(const StepPlan& incomplete, StepOrder order,
                                    const Report& report) {
  const StepPlan plan = CK_TRY(completed(incomplete));
  if (order.step == Step::kDropImage) {
    CK_TRY(remove_image(plan.image));
    CK_TRY(remove_early(plan.folder));
    return wire::Result();
  }
  const job::JobDir job = CK_TRY(job::JobDir::open(plan.folder));
  switch (order.step) {
    case Step::kCopyRunning: {
      CK_TRY(remove_early(job.path()));  // of a hand-over that was broken off
      auto copied = copy_running(plan, job, std::move(order.stream), report);
      if (!copied.ok()) CK_TRY(remove_early(job.path()));
      if (!copied.ok()) CK_TRY(forget_sent_files(plan));
      return copied;
    }
    case Step::kFreezeAndCapture:
      return freeze_and_capture(plan, job, report);
    case Step::kSendImage:
      return send_last(plan, std::move(order.stream), report);
    case Step::kEndOriginal:
      CK_TRY(end_original(plan, job, order.counter));
      return wire::Result();
    case Step::kContinueHere:
      CK_TRY(continue_here(plan, job, order.counter));
      return wire::Result();
    default:
      return make_error(ErrorKind::kBug, "that is not a step of the source");
  }
}

}  // namespace ck::driver::migrate
