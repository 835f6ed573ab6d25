#include "runtime/capture/checkpoint.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/capture/change_tracker.h"
#include "runtime/capture/frozen_job.h"
#include "runtime/capture/memory_capture.h"
#include "runtime/capture/process_state.h"
#include "runtime/capture/program_files.h"
#include "runtime/capture/stop_reports.h"
#include "runtime/capture/twin.h"
#include "runtime/proc/tasks.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/system_v.h"
#include "runtime/resources/tcp_repair.h"

namespace ck::capture {

using std::chrono::steady_clock;

namespace {

// Between attempts, on average; the job has most of the time for itself.
constexpr std::chrono::microseconds kFirstWait{1000};
constexpr std::chrono::microseconds kLongestWait{50000};
constexpr int kShareOfJob = 5;

// Anything between half and one and a half: each attempt starts the program's own pauses anew, and
// equal steps would find it in the same place again and again.
std::chrono::microseconds about(std::chrono::microseconds wait) {
  static std::minstd_rand random(static_cast<unsigned>(::getpid()));
  return wait / 2 + std::chrono::microseconds(random() % static_cast<unsigned>(wait.count()));
}

// Bytes that take longer to be given back than an heir takes to be made.
constexpr std::uint64_t kMuchMemory = 32 << 20;

// Else each nap of some microseconds takes 50 more.
constexpr std::chrono::nanoseconds kTimerSlack{1000};

void fill_ended(const EndedProcess& process, VirtualPid parent, image::EndedRecord& record) {
  record.set_pid(process.virtual_pid.value);
  record.set_ppid(parent.value);
  record.set_pgid(process.group.value);
  record.set_sid(process.session.value);
  record.set_wait_status(process.stat.exit_code);
  record.set_exit_signal(process.stat.exit_signal);
  record.set_name(process.stat.name);
}

// Orphans go to the next subreaper above them, and so would a twin when its helper has ended: no
// process of the job may be one for that moment.
class NoSubreapers {
 public:
  static Result<std::unique_ptr<NoSubreapers>> begin(FrozenJob& job,
                                                     const image::Manifest& manifest) {
    std::unique_ptr<NoSubreapers> none(new NoSubreapers);
    for (std::size_t i = 0; i < job.processes.size(); ++i) {
      if (!manifest.processes(static_cast<int>(i)).child_subreaper()) continue;
      CK_TRY(set(*job.processes[i], 0));
      none->processes_.push_back(job.processes[i].get());
    }
    return none;
  }
  ~NoSubreapers() {
    for (FrozenProcess* process : processes_) (void)set(*process, 1);
  }

 private:
  static Status set(FrozenProcess& process, int value) {
    proc::Mailbox box = process.mailbox();
    CK_TRY(box.call("change the subreaper attribute", SYS_prctl, PR_SET_CHILD_SUBREAPER, value, 0,
                    0, 0));
    return {};
  }
  std::vector<FrozenProcess*> processes_;
};

// Holds what a checkpoint goes through, in order; every early return thaws the program.
class Checkpoint {
 public:
  Checkpoint(RealPid root, ControlArea& area, const CheckpointOptions& options, Deadline deadline)
      : root_(root),
        area_(area),
        options_(options),
        deadline_(deadline),
        objects_(options.stop ? memory::ObjectTable::Purpose::kEnded
                              : memory::ObjectTable::Purpose::kLive,
                 manifest_, std::filesystem::path(options.image_path).parent_path().string()),
        shared_(objects_),
        held_(options.job.id()) {}

  Result<CheckpointReport> run() {
    Result<CheckpointReport> report = capture_and_write();
    if (report.ok() || !job_ || !job_->lost_one(report.error())) return report;
    return make_error(ErrorKind::kTryAgain,
                      "a process of the job ended during the checkpoint: " + report.error().message)
        .that_passes();
  }

 private:
  Result<CheckpointReport> capture_and_write() {
    writer_ =
        CK_TRY(image::Writer::create(options_.image_path, options_.writer, options_.progress));
    CK_TRY(capture_frozen());
    if (!options_.stop && all_copied()) CK_TRY(thaw());
    CK_TRY(write_rest());
    spdlog::debug("memory written after {} us", elapsed_us());
    if (!options_.stop && !all_copied()) CK_TRY(thaw());
    // With --stop the pause lasts until the kill; the image can only tell how long it has been.
    if (options_.stop) note_pause();
    CheckpointReport report;
    report.image = CK_TRY(writer_->commit(std::move(manifest_), options_.before_rename));
    spdlog::debug("image safe after {} us", elapsed_us());
    if (options_.stop) report.ended = !CK_TRY(goes_on(report.image));
    report.heirs = std::move(heirs_);
    if (options_.tracker != nullptr && options_.track)
      options_.tracker->settle(writer_->manifest_hash());
    report.pause = pause_;
    for (const FrozenJob::LeftOut& process : job_->left_out)
      report.left_out.push_back(process.why.message + ": left out of the image");
    return report;
  }

  // The image is safe.
  Result<bool> goes_on(const image::WriteReport& image) {
    if (options_.goes_on) {
      twins_.clear();
      CK_TRY(job_->die_with_supervisor(true));
      if (options_.goes_on(image)) {
        CK_TRY(job_->die_with_supervisor(false));
        CK_TRY(thaw());
        return true;
      }
      make_heirs();
    }
    held_.keep();
    job_->kill();
    pause_ = steady_clock::now() - frozen_since_;
    return false;
  }

  void make_heirs() {
    std::vector<Twin::Wanted> wanted;
    for (std::size_t i = 0; i < memory_.size(); ++i)
      if (memory_[i]->private_bytes() >= kMuchMemory)
        wanted.push_back({job_->processes[i].get(), Twin::Parent::kReaper, Twin::Memory::kShared});
    for (Result<std::unique_ptr<Twin>>& heir : Twin::fork(wanted)) {
      if (heir.ok())
        heirs_.push_back(std::move(*heir));
      else
        spdlog::debug("a process without an heir ends slowly: {}", heir.error().text());
    }
  }

  // Before the pause; a process that cannot be looked at yet is looked at while it is frozen.
  Status look_before() {
    std::size_t slots = 0;
    for (RealPid pid : CK_TRY(job_members(root_, CK_TRY(area_.inode())))) {
      if (auto scanned = proc::read_smaps(pid); scanned.ok())
        scans_[pid.value] = std::move(*scanned);
      if (auto status = proc::read_status(pid); status.ok()) slots += status->threads + kSpareSlots;
      if (auto threads = proc::read_program_threads(pid);
          threads.ok() && !find_apart(*threads, noted_namespaces(*area_.header())))
        known_whole_.insert(pid.value);
    }
    return area_.reserve(static_cast<unsigned>(std::min<std::size_t>(slots, area_.slot_count())));
  }

  Status capture_frozen() {
    CK_TRY(look_before());
    frozen_since_ = steady_clock::now();
    job_ = CK_TRY(
        FrozenJob::freeze(root_, area_, deadline_, options_.allow_uncontrolled, known_whole_));
    spdlog::debug("frozen after {} us", elapsed_us());
    *manifest_.mutable_job() = options_.job;
    CK_TRY(capture_states());
    capture_ended();
    CK_TRY(capture_stop_reports(*job_, manifest_));
    spdlog::debug("state after {} us", elapsed_us());
    CK_TRY(capture_descriptors());
    spdlog::debug("descriptors after {} us", elapsed_us());
    CK_TRY(capture_system_v());
    CK_TRY(describe_memory());
    spdlog::debug("mappings after {} us", elapsed_us());
    CK_TRY(look_at_changes());
    CK_TRY(shared_.freeze());
    CK_TRY(options_.stop ? without_twins() : fork_twins());
    spdlog::debug("twins after {} us", elapsed_us());
    return {};
  }

  Status capture_states() {
    std::deque<ProcessCapture> captures;
    for (const auto& process : job_->processes) captures.emplace_back(*process).ask();
    for (ProcessCapture& capture : captures)
      CK_TRY(capture.capture(*manifest_.add_processes(), *manifest_.mutable_clocks()));
    return options_.stop ? refuse_removed_folders() : Status();
  }

  // The image of a job that goes on may be of use once the folder is there again.
  Status refuse_removed_folders() const {
    for (const auto& process : job_->processes)
      if (const auto folder = removed_folder(process->witness))
        return make_error(ErrorKind::kRefused,
                          "process " + to_string(process->pid) + " (" + process->status.name +
                              "): its working directory " + *folder + " was removed",
                          "a restart needs it: make it again");
    return {};
  }

  void capture_ended() {
    for (const EndedProcess& ended : job_->ended)
      for (const auto& parent : job_->processes)
        if (parent->pid == ended.status.ppid)
          fill_ended(ended, parent->virtual_pid, *manifest_.add_ended());
  }

  // `boxes`: their places must not change.
  std::vector<resources::CaptureProcess> capture_processes(std::deque<proc::Mailbox>& boxes) {
    std::vector<resources::CaptureProcess> processes;
    for (std::size_t i = 0; i < job_->processes.size(); ++i) {
      FrozenProcess& process = *job_->processes[i];
      boxes.push_back(process.mailbox());
      processes.push_back({process.witness,
                           &boxes.back(),
                           manifest_.mutable_processes(static_cast<int>(i)),
                           {},
                           [&process] { return process.mailboxes(); }});
    }
    return processes;
  }

  Status capture_descriptors() {
    std::deque<proc::Mailbox> boxes;
    std::vector<RealPid> left_out;
    for (const FrozenJob::LeftOut& process : job_->left_out) left_out.push_back(process.pid);
    return resources::capture_descriptors(capture_processes(boxes), manifest_, objects_,
                                          {options_.tcp, &held_, options_.own_terminal, left_out});
  }

  Status capture_system_v() {
    std::set<int> attached;
    for (const auto& process : job_->processes)
      for (const proc::Mapping& mapping : process->mappings)
        if (memory::classify(mapping, 0).kind == memory::Class::kSystemV)
          attached.insert(static_cast<int>(mapping.inode));
    std::deque<proc::Mailbox> boxes;
    return resources::capture_system_v(capture_processes(boxes), attached, manifest_, objects_);
  }

  Status describe_memory() {
    for (std::size_t i = 0; i < job_->processes.size(); ++i) {
      FrozenProcess& process = *job_->processes[i];
      memory_.push_back(std::make_unique<MemoryCapture>(process, static_cast<std::uint32_t>(i),
                                                        manifest_, objects_, shared_));
      CK_TRY(memory_.back()->describe(*manifest_.mutable_processes(static_cast<int>(i)),
                                      scans_[process.pid.value]));
    }
    return {};
  }

  Status look_at_changes() {
    if (options_.tracker == nullptr) return {};
    if (options_.writer.basis)
      for (const auto& memory : memory_)
        CK_TRY(memory->compare(*options_.tracker, *options_.writer.basis));
    if (options_.track)
      for (const auto& memory : memory_) CK_TRY(memory->track(*options_.tracker));
    spdlog::debug("changes after {} us", elapsed_us());
    return {};
  }

  // The job never runs again: it is read itself.
  Status without_twins() {
    twins_.resize(job_->processes.size());
    return {};
  }

  Status fork_twins() {
    const auto no_subreapers = CK_TRY(NoSubreapers::begin(*job_, manifest_));
    std::vector<Twin::Wanted> wanted;
    for (const auto& process : job_->processes)
      wanted.push_back({process.get(), job_->has(process->status.ppid) ? Twin::Parent::kProgram
                                                                       : Twin::Parent::kReaper});
    for (Result<std::unique_ptr<Twin>>& twin : Twin::fork(wanted)) {
      if (!twin.ok() && !no_room(twin.error())) return std::move(twin).error();
      if (!twin.ok())
        spdlog::info("the job stands still until it is read: {}", twin.error().text());
      twins_.push_back(twin.ok() ? std::move(*twin) : nullptr);
    }
    return {};
  }

  // For another process, or for its memory.
  static bool no_room(const Error& error) {
    return error.errnum == EAGAIN || error.errnum == ENOMEM;
  }

  bool all_copied() const {
    return std::all_of(twins_.begin(), twins_.end(),
                       [](const auto& twin) { return twin != nullptr; });
  }

  Status thaw() {
    held_.release();
    CK_TRY(job_->thaw());
    note_pause();
    if (!options_.on_thawed) return {};
    std::set<pid_t> copies;
    for (const auto& twin : twins_)
      if (twin) copies.insert(twin->pid().value);
    options_.on_thawed(copies);
    return {};
  }

  void note_pause() {
    pause_ = steady_clock::now() - frozen_since_;
    manifest_.mutable_job()->set_pause_ns(pause_.count());
  }

  Status write_rest() {
    *manifest_.mutable_host() = describe_host();
    manifest_.set_writer("ckrun " CKRUN_VERSION);
    std::uint64_t bytes = 0;
    for (const auto& memory : memory_) bytes += memory->private_bytes();
    if (options_.progress != nullptr) options_.progress->begin("checkpoint", bytes);
    Status written = write_memory();
    if (written.ok()) written = programs_.write(*writer_, manifest_);
    if (written.ok()) written = objects_.write_contents(*writer_);
    Status finished = writer_->finish_chunks();
    for (std::size_t i = 0; i < twins_.size(); ++i)
      if (twins_[i] && !twins_[i]->alive())
        return make_error(ErrorKind::kTryAgain,
                          "the copy of process " + to_string(job_->processes[i]->pid) +
                              " was killed while it was read",
                          "is memory short?");
    CK_TRY(std::move(written));
    return finished;
  }

  Status write_memory() {
    for (std::size_t i = 0; i < twins_.size(); ++i) {
      if (twins_[i]) CK_TRY(memory_[i]->check_twin(twins_[i]->pid()));
      const RealPid from = twins_[i] ? twins_[i]->pid() : job_->processes[i]->witness;
      CK_TRY(memory_[i]->write_private(*writer_, from));
    }
    return {};
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
  SharedMemory shared_;
  resources::HeldConnections held_;
  std::map<pid_t, std::vector<proc::Mapping>> scans_;
  std::set<pid_t> known_whole_;
  std::unique_ptr<FrozenJob> job_;
  // One for each process, as are the next. Null: there was no room for one, and the process itself
  // is read while it stands still.
  std::vector<std::unique_ptr<Twin>> twins_;
  std::vector<std::shared_ptr<const Twin>> heirs_;
  std::vector<std::unique_ptr<MemoryCapture>> memory_;
  ProgramFiles programs_;
  std::unique_ptr<image::Writer> writer_;  // first to go: its workers read from the twins
};

}  // namespace

// What passes is waited for: the job goes on in between, longer each time.
Result<CheckpointReport> checkpoint(RealPid root, ControlArea& area,
                                    const CheckpointOptions& options) {
  using std::chrono::duration_cast;
  ::prctl(PR_SET_TIMERSLACK, kTimerSlack.count());
  const auto begin = steady_clock::now();
  const Deadline deadline = begin + options.timeout;
  std::optional<Error> waited_for;
  for (auto between = kFirstWait;;
       between = std::min<std::chrono::microseconds>(2 * between, kLongestWait)) {
    const auto attempt = steady_clock::now();
    Result<CheckpointReport> report = Checkpoint(root, area, options, deadline).run();
    // What was protected for an image that failed does not tell of the one before. One that needs
    // no tracking can be tried again with what is known. Of a job that has ended the kernel would
    // go through all memory once more, which its heirs have.
    const bool ended = report.ok() && report->ended;
    if (options.tracker != nullptr && options.track != report.ok() && !ended)
      options.tracker->forget();
    if (report.ok()) report->total = steady_clock::now() - begin;
    if (report.ok()) return report;
    // Whatever failed, this is why.
    if (!proc::any_thread_alive(root))
      return make_error(ErrorKind::kNotFound,
                        "process " + to_string(root) + " ended during the checkpoint");
    const auto now = steady_clock::now();
    // The last attempt may have had no time: what has taken the time is more to the point.
    if (!report.error().passes && waited_for && now >= deadline) return *std::move(waited_for);
    const auto took = duration_cast<std::chrono::microseconds>(now - attempt);
    const auto wait = about(std::max(between, kShareOfJob * took));
    if (!report.error().passes || now + wait >= deadline) return report;
    waited_for = report.error();
    spdlog::debug("checkpoint of {}: {}; again", root.value, report.error().message);
    std::this_thread::sleep_for(wait);
  }
}

}  // namespace ck::capture
