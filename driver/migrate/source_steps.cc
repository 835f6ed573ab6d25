// The host that a job leaves.
#include <unistd.h>

#include <cstring>
#include <optional>
#include <thread>

#include "driver/migrate/ckpt_command.h"
#include "driver/migrate/job_control.h"
#include "driver/migrate/job_files.h"
#include "driver/migrate/steps.h"
#include "driver/transfer/encoding.h"
#include "driver/transfer/send_image.h"
#include "driver/transfer/stream.h"
#include "runtime/image/generations.h"

namespace ck::driver::migrate {
namespace {

using handover::Step;
using transfer::Sent;

constexpr int kMostRounds = 6;
constexpr double kWorthSendingAgain = 1.5;      // what is compressed otherwise than it is there
constexpr std::uint64_t kTellsSpeed = 8 << 20;  // bytes that no buffer takes
constexpr std::uint64_t kSmallRound = 4 << 20;  // bytes to send; another would not be much shorter

// What was sent while the job ran, which the last image is on top of.
std::string early_path(const std::string& folder, int round) {
  return folder + "/.early-" + std::to_string(round) + ".ckpt";
}

std::optional<std::string> newest_early(const std::string& folder) {
  std::optional<std::string> newest;
  for (int round = 0; round < kMostRounds; ++round)
    if (::access(early_path(folder, round).c_str(), F_OK) == 0) newest = early_path(folder, round);
  return newest;
}

Status remove_early(const std::string& folder) {
  for (int round = 0; round < kMostRounds; ++round) CK_TRY(remove_image(early_path(folder, round)));
  return image::remove_unneeded_parents(folder);
}

// For a link that brings through `speed` bytes a second.
job::Compression compression_for(const job::JobDir& job, double speed) {
  const job::Settings& settings = job.info().settings;
  const unsigned threads =
      settings.threads != 0 ? settings.threads : std::thread::hardware_concurrency();
  const transfer::Encoding usual{settings.compression.codec, settings.compression.level};
  const bool first = !newest_early(job.path());
  const transfer::Encoding encoding =
      first ? transfer::encoding_for(speed, threads, usual, kWorthSendingAgain)
            : transfer::encoding_for(speed, threads);
  return {encoding.codec, encoding.level};
}

struct Taken {
  std::string image;
  std::string compression;
};

Result<Taken> checkpoint(const StepPlan& plan, const job::JobDir& job, bool hold, double link) {
  std::vector<std::string> words{"save", "--dir", plan.jobs_folder};
  words.emplace_back(hold ? "--hold" : "--track");
  if (const auto basis = newest_early(job.path()))
    words.insert(words.end(), {"--on-top-of", *basis});
  const std::string compression = job::format_compression(compression_for(job, link));
  words.insert(words.end(), {"--compress", compression, job.info().id});
  std::string output = CK_TRY(run_ckpt(words));
  while (output.ends_with('\n')) output.pop_back();
  return Taken{output.substr(output.rfind('\n') + 1), compression};  // its path is the last line
}

Result<Sent> send(transfer::Stream& stream, const std::string& path, bool early, const char* what,
                  const Report& report) {
  const auto image = CK_TRY(transfer::OutgoingImage::open(path));
  return transfer::send_image(
      stream, *image, {.early = early},
      [&](std::uint64_t done, std::uint64_t total) { report(what, done, total); });
}

bool ships(const StepPlan& plan) {
  return plan.offer.needs().files().ship();
}

// Bytes that were sent: the first image tells which files there are.
Result<std::uint64_t> early_files(transfer::Stream& stream, const StepPlan& plan,
                                  const std::string& image, int round, const Report& report) {
  if (round > 0 || !ships(plan)) return std::uint64_t{0};
  report("files", 0, 0);
  const Sent sent =
      CK_TRY(send_early_files(stream, plan, image, [&](std::uint64_t done, std::uint64_t total) {
        report("files", done, total);
      }));
  return sent.sent_bytes;
}

// Images of the running job, each on top of the one before. Ends when another round would not send
// much less than the last one.
Result<wire::Result> copy_running(const StepPlan& plan, const job::JobDir& job, UniqueFd socket,
                                  const Report& report) {
  wire::Result result;
  const bool memory_too = goes_in_advance(plan.memory, plan.link);
  if (!memory_too && !ships(plan)) return result;
  transfer::Stream stream(std::move(socket));
  transfer::LinkSpeed link;
  std::uint64_t last = 0;
  for (int round = 0; round < kMostRounds; ++round) {
    report("checkpoint", 0, 0);
    const Taken taken =
        CK_TRY(checkpoint(plan, job, false, link.bytes_per_second().value_or(plan.link)));
    result.set_compression(taken.compression);
    const std::string image = early_path(job.path(), round);
    if (::rename(taken.image.c_str(), image.c_str()) != 0)
      return sys_error("rename " + taken.image);
    const Result<std::uint64_t> files = early_files(stream, plan, image, round, report);
    const bool image_too = files.ok() && memory_too;
    const Result<Sent> sent = image_too ? send(stream, image, true, "copy", report) : Sent();
    if (!files.ok()) return files.error();
    if (!sent.ok()) return sent.error();
    if (sent->sent_bytes >= kTellsSpeed) {
      link.note(sent->sent_bytes, sent->took);
      result.set_link_bytes(result.link_bytes() + sent->sent_bytes);
      result.set_link_ns(result.link_ns() + static_cast<std::uint64_t>(sent->took.count()));
    }
    if (!image_too) CK_TRY(remove_early(job.path()));  // the last one cannot be on top of it
    const std::uint64_t before = last;
    last = sent->sent_bytes;
    result.set_sent_bytes(result.sent_bytes() + *files + last);
    if (sent->sent_bytes < kSmallRound || (round > 0 && sent->sent_bytes > before / 3 * 2)) break;
  }
  return result;
}

Result<wire::Result> freeze_and_capture(const StepPlan& plan, const job::JobDir& job,
                                        const Report& report) {
  report("last checkpoint", 0, 0);
  wire::Result result;
  const Taken taken = CK_TRY(checkpoint(plan, job, true, plan.link));
  result.set_image(taken.image);
  result.set_compression(taken.compression);
  return result;
}

Result<wire::Result> send_last(const StepPlan& plan, UniqueFd socket, const Report& report) {
  transfer::Stream stream(std::move(socket));
  const auto image = CK_TRY(transfer::OutgoingImage::open(plan.image));
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    report("last part", done, total);
  };
  wire::Result result;
  // Files first: the other side is ready to restore as soon as it has the image.
  if (ships(plan)) {
    const SentFiles files = CK_TRY(send_last_files(stream, plan, progress));
    result.set_files(files.files);
    result.set_file_bytes(files.bytes);
    result.set_sent_bytes(files.sent.sent_bytes);
    result.set_image_bytes(files.sent.image_bytes);
  }
  const Sent sent = CK_TRY(transfer::send_image(stream, *image, {}, progress));
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
