#include "runtime/job/restart_run.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "runtime/base/log.h"
#include "runtime/job/interrupt_guard.h"
#include "runtime/job/ready.h"
#include "runtime/job/run_parts.h"
#include "runtime/job/signals.h"
#include "runtime/job/suspension.h"
#include "runtime/restore/map_paths.h"

namespace ck::job {

void tell(const std::string& line) {
  std::fprintf(stderr, "ckpt: %s\n", line.c_str());
}

Settings with_changes(Settings settings, const RestartRequest& request) {
  settings.interval = request.interval.value_or(settings.interval);
  settings.timeout = request.timeout.value_or(settings.timeout);
  settings.keep = request.keep.value_or(settings.keep);
  settings.request_signal = request.request_signal.value_or(settings.request_signal);
  settings.compression = request.compression.value_or(settings.compression);
  settings.tcp = request.tcp.value_or(settings.tcp);
  settings.stop_exit = request.stop_exit.value_or(settings.stop_exit);
  return settings;
}

Result<std::optional<int>> finished_status(const JobDir& job, const RestartRequest& request) {
  if (request.force || !request.as.empty()) return std::optional<int>();
  std::optional<Finished> finished = CK_TRY(job.finished());
  if (!finished) return std::optional<int>();
  std::string what = "job " + job.info().name + " has finished, with " + status_text(*finished);
  if (!finished->known) return make_error(ErrorKind::kRefused, what, "--force runs it again");
  tell(what + "; nothing was restarted (--force runs it again)");
  return std::optional(finished->exit_status);
}

namespace {

// The agent maps the area where it was before, so the size must be the same.
Result<ControlArea> area_for(const JobDir& job, const std::string& agent,
                             const image::Manifest& manifest, int request_signal) {
  unsigned slots = manifest.processes().empty()
                       ? 0
                       : ControlArea::slots_of_size(manifest.processes(0).agent().area_size());
  if (slots == 0) {
    return make_error(ErrorKind::kBadImage, "the image records a control area of no possible size");
  }
  const auto used =
      static_cast<unsigned>(std::min<std::size_t>(restore::slots_needed(manifest), slots));
  return make_area(job, agent, slots, used, request_signal);
}

// Programs look at TERM once, when they start.
void compare_terminal_type(const image::Manifest& manifest) {
  const char* here = std::getenv("TERM");
  const std::string& then = manifest.job().terminal_type();
  if (here == nullptr || then.empty() || manifest.terminals().empty() || then == here) return;
  if (isatty(STDOUT_FILENO) == 0) return;
  tell("the job was started on a terminal of type " + then + ", this one is " + here +
       ": its screen may look wrong");
}

// What ^Z had stopped goes on, for its user is here again.
void continue_stopped(const image::Manifest& manifest, RealPid root) {
  if (!manifest.processes(0).stopped()) return;
  const pid_t group = getpgid(root.value);
  kill(group > 0 && group != getpgrp() ? -group : root.value, SIGCONT);
}

// The terminal of the restart takes the place of the one that the job was started on.
void take_over(const image::Manifest& manifest, SharedTerminal& terminal, Redraw how,
               RealPid root) {
  for (const image::TerminalRecord& record : manifest.terminals()) {
    terminal::Modes modes{};
    if (record.place() != image::TerminalRecord::OUTSIDE || record.modes().size() != sizeof modes)
      continue;
    std::memcpy(&modes, record.modes().data(), sizeof modes);
    if (!terminal) return;
    terminal.take_over(modes);
    if (how != Redraw::kNone) kill(-tcgetpgrp(terminal.fd()), SIGWINCH);
    continue_stopped(manifest, root);
    return;
  }
}

}  // namespace

RestartRun::RestartRun(const JobDir& job, std::unique_ptr<image::Reader> reader,
                       const RestartRequest& request, RealPid keeper)
    : job_(job),
      reader_(std::move(reader)),
      request_(request),
      keeper_(keeper),
      settings_(with_changes(job.info().settings, request)),
      image_(reader_->path()),
      ready_(request.ready_fd) {
  settings_.hostname = reader_->manifest().job().hostname();
}

Result<int> RestartRun::run() {
  installation_ = CK_TRY(find_installation());
  CK_TRY(block_supervised_signals());
  control_socket_ = CK_TRY(open_own_control_socket());
  if (request_.hold) {
    mark_.emplace(CK_TRY(HeldMark::make(job_)));
  } else {
    // It may have finished between the first look and the lock.
    std::optional<int> finished = CK_TRY(own(request_.counter));
    if (finished) return *finished;
  }
  Result<int> status = run_claimed();
  if (!status.ok()) return give_up(std::move(status).error());
  return status;
}

// --- the right to run the job

Result<std::optional<int>> RestartRun::own(std::optional<std::uint64_t> counter) {
  std::lock_guard lock(claim_mutex_);
  ownership_.emplace(CK_TRY(Ownership::acquire(job_, {request_.force, counter})));
  Result<std::optional<int>> finished = finished_status(job_, request_);
  if (finished.ok() && !*finished) return finished;
  (void)ownership_->end();
  ownership_.reset();
  return finished;
}

// With its root: from the release on there is no moment in which this process's death would let it
// run unknown.
Status RestartRun::own_held(RealPid root, std::optional<std::uint64_t> counter) {
  if (CK_TRY(own(counter)))
    return make_error(ErrorKind::kRefused, "job " + job_.info().name + " has finished meanwhile",
                      "ckpt unhold --end ends this copy of it");
  std::lock_guard lock(claim_mutex_);
  Status recorded = ownership_->record_root(root, area_->path(), keeper_);
  if (recorded.ok()) return {};
  (void)ownership_->end();
  ownership_.reset();
  return recorded;
}

void RestartRun::end_claim() {
  std::lock_guard lock(claim_mutex_);
  if (ownership_) (void)ownership_->end();
  mark_.reset();
}

Error RestartRun::give_up(Error error) {
  end_claim();
  if (newer_) newer_->answer(failure_reply(error));
  if (held_) held_->answer(failure_reply(error));
  return error;
}

// --- the job

Result<int> RestartRun::run_claimed() {
  CK_TRY(restore());
  if (!again_->root) return end_held();
  restored_ = true;
  std::optional<int> root_status;
  if (reader_->manifest().job().has_root_status())
    root_status = reader_->manifest().job().root_status();
  if (Status settled = settle(); !settled.ok()) {
    kill(again_->root->pid().value, SIGKILL);
    (void)again_->root->take_exit_status();
    return std::move(settled).error();
  }
  return supervise("ckpt", job_, *ownership_, *again_->root, std::move(control_socket_), *area_,
                   settings_, root_status, link_ ? &*link_ : nullptr,
                   shared_ ? &*shared_ : nullptr);
}

Status RestartRun::restore() {
  if (keeper_)
    link_.emplace(CK_TRY(KeeperLink::connect(keeper_, job_.info().name)));
  else
    shared_.emplace();
  CK_TRY(become_subreaper());
  area_.emplace(
      CK_TRY(area_for(job_, installation_.agent, reader_->manifest(), settings_.request_signal)));
  auto guard = CK_TRY(InterruptGuard::start([this] { end_claim(); }));
  restore::RestartOptions options;
  options.pids = request_.pids;
  options.rollback_files = request_.rollback_files;
  options.restorer_path = installation_.restorer;
  options.threads = request_.threads;
  options.progress = request_.progress;
  if (link_) options.own_terminal = link_->master();
  if (request_.in_advance) options.next_image = [this] { return next_image(); };
  if (request_.hold) options.goes_on = [this](RealPid root) { return hold(root); };
  Result<restore::Restarted> again = restore::restart(*reader_, *area_, options);
  if (request_.on_restored) request_.on_restored();
  again_.emplace(CK_TRY(std::move(again)));
  return {};
}

// The memory of the newest image is in place. The first time this tells whoever has started it.
Result<restore::NextImage> RestartRun::next_image() {
  if (newer_) {
    newer_->answer(done());
  } else {
    newer_.emplace(job_);
    CK_TRY(newer_->serve(UniqueFd(fcntl(control_socket_.get(), F_DUPFD_CLOEXEC, 0))));
    tell_ready(ready_);
  }
  const NewerImages::Image next = CK_TRY(newer_->wait());
  if (next.last) newer_->close();
  std::unique_ptr<image::Reader> reader = CK_TRY(image::Reader::open(next.path, true));
  reader = CK_TRY(restore::with_mapped_paths(std::move(reader), request_.maps));
  image_ = reader->path();
  earlier_.push_back(std::exchange(reader_, std::move(reader)));
  return restore::NextImage{*reader_, next.last};
}

wire::Reply RestartRun::done() const {
  wire::Reply reply;
  reply.mutable_done()->set_image(image_);
  return reply;
}

bool RestartRun::hold(RealPid root) {
  restored_ = true;
  if (request_.on_restored) request_.on_restored();
  held_.emplace(HeldRestart::Parts{
      job_, root, format_signal(settings_.request_signal), link_ ? &*link_ : nullptr,
      [this, root](std::optional<std::uint64_t> counter) { return own_held(root, counter); }});
  held_status_ = held_->serve(UniqueFd(fcntl(control_socket_.get(), F_DUPFD_CLOEXEC, 0)));
  if (!held_status_.ok()) return false;
  tell_ready(ready_);
  if (newer_) newer_->answer(done());
  newer_.reset();
  return held_->wait();
}

int RestartRun::end_held() {
  if (!held_status_.ok()) tell(held_status_.error().text());
  end_claim();
  wire::Reply reply = done();
  reply.mutable_done()->set_stopped(true);
  held_->answer(reply);
  return settings_.stop_exit;
}

// Where the job has a terminal in namespaces of its own, the keeper has that from now on.
Status RestartRun::connect_terminal() {
  if (again_->pids == restore::PidsMode::kNamespace)
    CK_TRY(link_->use(std::move(again_->own_terminal)));
  return again_->typed.empty() ? Status() : link_->type(again_->typed);
}

// The job runs; it is known as this process's, and has its terminal.
Status RestartRun::settle() {
  const image::Manifest& manifest = reader_->manifest();
  compare_terminal_type(manifest);
  if (link_) {
    CK_TRY(connect_terminal());
    continue_stopped(manifest, again_->root->pid());
  }
  if (shared_) take_over(manifest, *shared_, request_.redraw, again_->root->pid());
  const bool suspended = request_.keep_suspended && manifest.job().suspended();
  reader_.reset();
  earlier_.clear();
  for (const std::string& line : again_->warnings) tell(line);
  Status recorded = ownership_->record_root(again_->root->pid(), area_->path(), keeper_);
  if (recorded.ok() && request_.force) recorded = ownership_->forget_finished();
  if (!recorded.ok()) spdlog::warn("{}", recorded.error().text());
  if (suspended) CK_TRY(suspend_from_the_start(job_, ownership_->incarnation()));
  mark_.reset();
  tell_ready(ready_);
  if (!held_) return {};
  wire::Reply reply = done();
  reply.mutable_done()->set_incarnation(ownership_->counter());
  held_->answer(reply);
  held_.reset();
  return {};
}

}  // namespace ck::job
