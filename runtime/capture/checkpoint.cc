#include "runtime/capture/checkpoint.h"

#include <filesystem>

#include "runtime/base/log.h"
#include "runtime/capture/freeze.h"
#include "runtime/capture/memory_capture.h"
#include "runtime/capture/process_state.h"
#include "runtime/capture/twin.h"
#include "runtime/proc/tasks.h"
#include "runtime/resources/capture.h"

namespace ck::capture {

using std::chrono::steady_clock;

namespace {

// One process for now; a job of more is refused by name.
Status refuse_children(RealPid root) {
  for (RealPid child : CK_TRY(proc::read_children(root))) {
    const Result<proc::ProcessStatus> status = proc::read_status(child);
    if (!status.ok() || status->state == 'X') continue;
    return make_error(ErrorKind::kRefused,
                      "process " + to_string(root) + " has a child, " + to_string(child) + " (" +
                          status->name + "): jobs of several processes are not supported yet",
                      "checkpoint when the child has ended and was waited for");
  }
  return {};
}

// A leader that has exited is a zombie while its threads live.
bool is_running(RealPid pid) {
  const Result<std::vector<RealPid>> threads = proc::read_threads(pid);
  if (!threads.ok()) return false;
  for (RealPid thread : *threads) {
    const Result<proc::ProcessStatus> status = proc::read_status(thread);
    if (status.ok() && status->state != 'Z' && status->state != 'X') return true;
  }
  return false;
}

// Holds what a checkpoint goes through, in order; every early return thaws the program.
class Checkpoint {
 public:
  Checkpoint(RealPid root, ControlArea& area, const CheckpointOptions& options)
      : root_(root),
        area_(area),
        options_(options),
        deadline_(steady_clock::now() + options.timeout),
        objects_(options.stop ? memory::ObjectTable::Purpose::kEnded
                              : memory::ObjectTable::Purpose::kLive,
                 manifest_, std::filesystem::path(options.image_path).parent_path().string()) {}

  Result<CheckpointReport> run() {
    const auto begin = steady_clock::now();
    writer_ =
        CK_TRY(image::Writer::create(options_.image_path, options_.writer, options_.progress));
    CK_TRY(refuse_children(root_));
    CK_TRY(capture_frozen());
    if (!options_.stop) CK_TRY(thaw());
    CK_TRY(write_rest());
    // With --stop the pause lasts until the kill; the image can only tell how long it has been.
    if (options_.stop) note_pause();
    CheckpointReport report;
    report.image = CK_TRY(writer_->commit(std::move(manifest_), options_.before_rename));
    if (options_.stop) {
      process_->kill();
      pause_ = steady_clock::now() - frozen_since_;
    }
    report.pause = pause_;
    report.total = steady_clock::now() - begin;
    return report;
  }

 private:
  Status capture_frozen() {
    // Before the pause; a process that cannot be looked at yet is looked at while it is frozen.
    std::vector<proc::Mapping> scan;
    if (auto scanned = proc::read_smaps(root_); scanned.ok()) scan = std::move(*scanned);
    frozen_since_ = steady_clock::now();
    process_ = CK_TRY(FrozenProcess::freeze(root_, area_, 0, deadline_));
    spdlog::debug("frozen after {} us", elapsed_us());
    CK_TRY(refuse_children(root_));
    record_ = manifest_.add_processes();
    *manifest_.mutable_job() = options_.job;
    CK_TRY(capture_process(*process_, *record_, *manifest_.mutable_clocks()));
    spdlog::debug("state after {} us", elapsed_us());
    CK_TRY(capture_descriptors());
    spdlog::debug("descriptors after {} us", elapsed_us());
    memory_.emplace(*process_, 0, manifest_, objects_);
    CK_TRY(memory_->describe(*record_, scan));
    spdlog::debug("mappings after {} us", elapsed_us());
    CK_TRY(memory_->freeze_shared());
    twin_ = CK_TRY(Twin::fork(*process_));
    spdlog::debug("twin after {} us", elapsed_us());
    return {};
  }

  Status capture_descriptors() {
    proc::Mailbox box = process_->mailbox();
    const resources::CaptureProcess process{process_->witness, &box, record_, {}};
    return resources::capture_descriptors(std::span(&process, 1), manifest_, objects_);
  }

  Status thaw() {
    CK_TRY(process_->thaw());
    note_pause();
    return {};
  }

  void note_pause() {
    pause_ = steady_clock::now() - frozen_since_;
    manifest_.mutable_job()->set_pause_ns(pause_.count());
  }

  Status write_rest() {
    *manifest_.mutable_host() = describe_host();
    manifest_.set_writer("ckrun " CKRUN_VERSION);
    if (options_.progress != nullptr)
      options_.progress->begin("checkpoint", memory_->private_bytes());
    Status written = memory_->check_twin(twin_->pid());
    if (written.ok()) written = memory_->write_private(*writer_, twin_->pid());
    if (written.ok()) written = memory_->write_programs(*writer_);
    if (written.ok()) written = objects_.write_contents(*writer_);
    Status finished = writer_->finish_chunks();
    if (!twin_->alive())
      return make_error(ErrorKind::kTryAgain,
                        "the copy of process " + to_string(root_) + " was killed while it was read",
                        "is memory short?");
    CK_TRY(std::move(written));
    return finished;
  }

  long elapsed_us() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() -
                                                                 frozen_since_)
        .count();
  }

  RealPid root_;
  ControlArea& area_;
  const CheckpointOptions& options_;
  Deadline deadline_;
  steady_clock::time_point frozen_since_;
  std::chrono::nanoseconds pause_{};
  image::Manifest manifest_;
  memory::ObjectTable objects_;
  image::ProcessRecord* record_ = nullptr;
  std::unique_ptr<FrozenProcess> process_;
  std::unique_ptr<Twin> twin_;
  std::optional<MemoryCapture> memory_;
  std::unique_ptr<image::Writer> writer_;  // first to go: its workers read from the twin
};

}  // namespace

Result<CheckpointReport> checkpoint(RealPid root, ControlArea& area,
                                    const CheckpointOptions& options) {
  Result<CheckpointReport> report = Checkpoint(root, area, options).run();
  if (report.ok() || is_running(root)) return report;
  // Whatever failed, this is why.
  return make_error(ErrorKind::kNotFound,
                    "process " + to_string(root) + " ended during the checkpoint");
}

}  // namespace ck::capture
