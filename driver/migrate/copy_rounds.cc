#include "driver/migrate/copy_rounds.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

#include "driver/migrate/ckpt_command.h"
#include "driver/migrate/job_control.h"
#include "driver/migrate/job_files.h"
#include "driver/transfer/encoding.h"
#include "driver/transfer/send_image.h"
#include "driver/transfer/stream.h"
#include "runtime/image/generations.h"

namespace ck::driver::migrate {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using transfer::Sent;

// Of the time that a job stands still: what does not depend on how much there is to send.
constexpr std::chrono::milliseconds kAlways{60};
constexpr int kMostRounds = 6;
constexpr double kWorthSendingAgain = 1.5;      // what is compressed otherwise than it is there
constexpr std::uint64_t kTellsSpeed = 8 << 20;  // bytes that no buffer takes
constexpr std::uint64_t kSmallRound = 4 << 20;  // bytes to send; another would not be much shorter

// Over a connection that was idle: TCP begins with ten segments a round trip (RFC 6928), and twice
// as many in the next.
double seconds_to_send(const StepPlan& plan) {
  constexpr double kFirstWindow = 10 * 1460;
  const auto bytes = static_cast<double>(plan.memory);
  const double trips = std::log2(1 + bytes / kFirstWindow);
  return trips * std::chrono::duration<double>(plan.round_trip).count() +
         (plan.link > 0 ? bytes / plan.link : 0);
}

// Else the job stands still for so short a time that a copy of its memory in advance gains nothing.
bool goes_in_advance(const StepPlan& plan) {
  constexpr std::uint64_t kMuch = 32u << 20;
  constexpr double kLong = 0.3;  // seconds
  return plan.memory >= kMuch || seconds_to_send(plan) > kLong;
}

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

// For a link that brings through `speed` bytes a second. `first`: the image is on top of none.
job::Compression compression_for(const job::JobDir& job, double speed, bool first) {
  const job::Settings& settings = job.info().settings;
  const unsigned threads =
      settings.threads != 0 ? settings.threads : std::thread::hardware_concurrency();
  const transfer::Encoding usual{settings.compression.codec, settings.compression.level};
  const transfer::Encoding encoding =
      first ? transfer::encoding_for(speed, threads, usual, kWorthSendingAgain)
            : transfer::encoding_for(speed, threads);
  return {encoding.codec, encoding.level};
}

}  // namespace

bool ships(const StepPlan& plan) {
  return plan.offer.needs().files().ship();
}

wire::Progress progress(const char* what, std::uint64_t done, std::uint64_t total) {
  wire::Progress progress;
  progress.set_what(what);
  progress.set_done_bytes(done);
  progress.set_total_bytes(total);
  return progress;
}

Result<TakenImage> take_image(const StepPlan& plan, const job::JobDir& job, bool hold,
                              double link) {
  std::vector<std::string> words{"save", "--dir", plan.jobs_folder};
  words.emplace_back(hold ? "--hold" : "--track");
  const std::optional<std::string> basis = newest_early(job.path());
  if (basis) words.insert(words.end(), {"--on-top-of", *basis});
  const std::string compression = job::format_compression(compression_for(job, link, !basis));
  words.insert(words.end(), {"--compress", compression, job.info().id});
  std::string output = CK_TRY(run_ckpt(words));
  while (output.ends_with('\n')) output.pop_back();
  const std::string path = output.substr(output.rfind('\n') + 1);  // the last line
  return TakenImage{path, compression};
}

Status remove_early(const std::string& folder) {
  for (int round = 0; round < kMostRounds; ++round) CK_TRY(remove_image(early_path(folder, round)));
  return image::remove_unneeded_parents(folder);
}

namespace {

class Rounds {
 public:
  Rounds(const StepPlan& plan, const job::JobDir& job, UniqueFd socket, const Report& report)
      : plan_(plan), job_(job), report_(report), stream_(std::move(socket)) {}

  Result<wire::Result> run() {
    for (int round = 0; round < kMostRounds; ++round) {
      const std::uint64_t before = content_;
      CK_TRY(copy(round));
      // Not by what was sent: each image may be compressed otherwise.
      if (sent_ < kSmallRound || (round > 0 && content_ > before / 3 * 2)) break;
    }
    return result_;
  }

 private:
  Status copy(int round) {
    tell(progress("checkpoint", 0, 0));
    const double speed = link_.bytes_per_second().value_or(plan_.link);
    const TakenImage taken = CK_TRY(take_image(plan_, job_, false, speed));
    result_.set_compression(taken.compression);
    const std::string image = early_path(job_.path(), round);
    if (::rename(taken.path.c_str(), image.c_str()) != 0) return sys_error("rename " + taken.path);
    if (round == 0 && ships(plan_)) CK_TRY(send_files(image));
    // Else the last one cannot be on top of it.
    if (!goes_in_advance(plan_)) return remove_early(job_.path());
    return send(image);
  }

  // The first image tells which files there are.
  Status send_files(const std::string& image) {
    tell(progress("files", 0, 0));
    const Sent sent = CK_TRY(send_early_files(
        stream_, plan_, image,
        [&](std::uint64_t done, std::uint64_t total) { tell(progress("files", done, total)); }));
    result_.set_sent_bytes(result_.sent_bytes() + sent.sent_bytes);
    return {};
  }

  Status send(const std::string& path) {
    const auto begun = steady_clock::now();
    const auto image = CK_TRY(transfer::OutgoingImage::open(path));
    const Sent sent = CK_TRY(transfer::send_image(
        stream_, *image, {.early = true},
        [&](std::uint64_t done, std::uint64_t total) { tell(progress("copy", done, total)); }));
    content_ = image->content_bytes();
    sent_ = sent.sent_bytes;
    result_.set_sent_bytes(result_.sent_bytes() + sent_);
    expected_ = steady_clock::now() - begun + kAlways;  // the last one will be no larger
    if (sent_ < kTellsSpeed) return {};
    link_.note(sent_, sent.took);
    result_.set_link_bytes(result_.link_bytes() + sent_);
    result_.set_link_ns(result_.link_ns() + static_cast<std::uint64_t>(sent.took.count()));
    return {};
  }

  void tell(wire::Progress progress) {
    progress.set_expected_downtime_ns(static_cast<std::uint64_t>(expected_.count()));
    report_(progress);
  }

  const StepPlan& plan_;
  const job::JobDir& job_;
  const Report& report_;
  transfer::Stream stream_;
  transfer::LinkSpeed link_;
  std::uint64_t content_ = 0, sent_ = 0;  // bytes of the last round: what had changed, what went
  nanoseconds expected_{};                // that the job will stand still; 0: not known yet
  wire::Result result_;
};

}  // namespace

Result<wire::Result> copy_running(const StepPlan& plan, const job::JobDir& job, UniqueFd socket,
                                  const Report& report) {
  if (!ships(plan) && !goes_in_advance(plan)) return wire::Result();
  return Rounds(plan, job, std::move(socket), report).run();
}

}  // namespace ck::driver::migrate
