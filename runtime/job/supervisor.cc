#include "runtime/job/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <cstdio>

#include "runtime/base/death.h"
#include "runtime/base/log.h"
#include "runtime/job/background.h"
#include "runtime/job/host.h"
#include "runtime/job/orphans.h"
#include "runtime/job/process_life.h"
#include "runtime/job/signals.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/virtual_ids.h"
#include "runtime/process/adopted_process.h"

namespace ck::job {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::chrono::seconds kEndPatience{10};  // after SIGKILL
constexpr std::chrono::seconds kLastWords{2};
constexpr std::uint64_t kLongestLeaseMs = 24 * 3600 * 1000;

Error program_ended() {
  return make_error(ErrorKind::kNotFound, "the job's program has just ended");
}

bool ends_programs(int number) {
  return number == SIGTERM || number == SIGHUP || number == SIGINT || number == SIGQUIT;
}

}  // namespace

Supervisor::Supervisor(SupervisorParts parts)
    : parts_(std::move(parts)),
      exit_(io_),
      signals_(io_),
      interval_(io_),
      lease_(io_),
      keeper_(io_),
      stop_with_program_(
          io_, parts_.root.pid(), [this] { return runner_->busy(); }, parts_.shared),
      server_(io_, [this](auto session, auto request) {
        handle_request(std::move(session), std::move(request));
      }) {}

Result<int> Supervisor::run() {
  CK_TRY(set_up());
  io_.run();
  // The engine's thread, the sockets and the lock go in this order, so that a client which waits
  // for our end finds the job free.
  watch_.reset();
  runner_.reset();
  if (moved_) return exit_status_;
  Status ended = parts_.ownership.end();
  if (!ended.ok()) complain(ended.error().text());
  stop_session_.reset();
  return exit_status_;
}

Status Supervisor::set_up() {
  parts_.head.pid = parts_.root.pid().value;
  helpers_ = children_of_this_thread();
  // Asio closes what it is given; the RootProcess keeps its own.
  int exit_fd = fcntl(parts_.root.exit_fd(), F_DUPFD_CLOEXEC, 0);
  if (exit_fd < 0) return sys_error("watch the program's end");
  exit_.assign(exit_fd);
  UniqueFd signal_fd = CK_TRY(open_signal_fd());
  signals_.assign(signal_fd.release());
  runner_ =
      std::make_unique<CheckpointRunner>(io_, parts_.job, parts_.ownership, parts_.checkpoint);
  runner_->on_idle([this] { end_if_idle(); });
  watch_ = std::make_unique<RequestWatch>(
      parts_.area, [this] { asio::post(io_, [this] { request_from_within(); }); });
  CK_TRY(server_.serve(std::move(parts_.control_socket)));
  wait_for_exit();
  CK_TRY(watch_terminal());
  // Those that came before the program could have had them are passed on whatever their source.
  take_signals([this](const signalfd_siginfo& info) { handle_signal(info, true); });
  wait_for_signals();
  arm_interval();
  // As a supervisor before this one has left it.
  if (const SuspendedBy by = parts_.suspension.by(); by != SuspendedBy::kNobody)
    CK_TRY(suspend(by, parts_.suspension.lease()));
  return {};
}

void Supervisor::complain(const std::string& text) const {
  if (parts_.terminal != nullptr) return parts_.terminal->say(keeper::Type::kTell, 0, text);
  std::fprintf(stderr, "%s: %s\n", parts_.tool.c_str(), text.c_str());
}

// --- the program's end

void Supervisor::wait_for_exit() {
  exit_.async_wait(Descriptor::wait_read, [this](error_code error) {
    if (error) return;
    const std::optional<int> stop = orphan_ ? std::nullopt : parts_.root.take_stop();
    if (!stop) return on_head_ended();
    on_stop(*stop);
    wait_for_exit();
  });
}

void Supervisor::on_head_ended() {
  head_ended_ = true;
  end_if_idle();
}

// A checkpoint that runs while the program ends decides what its end means: stopped or finished.
void Supervisor::end_if_idle() {
  if (runner_->busy() || finishing_) return;
  if (!head_ended_) return on_child_change();
  note_root_status();
  if (!stop_exit_ && go_on_with_orphan()) return;
  runner_->refuse_waiting(program_ended());
  finish();
}

void Supervisor::note_root_status() {
  if (root_ended_) return;
  root_ended_ = true;
  const int before = parts_.head.root_status;  // of a job that was restarted without its root
  root_status_ = before >= 0 ? Result<int>(before) : parts_.root.take_exit_status();
  if (root_status_.ok()) parts_.head.root_status = *root_status_;
}

// A daemon, or what else the program has left behind: the job is not over.
bool Supervisor::go_on_with_orphan() {
  const RealPid next = parts_.find_orphan({});
  if (!next) return false;
  const Result<proc::ProcessStat> stat = proc::read_stat(next);
  if (!stat.ok()) return go_on_with_orphan();  // has just ended: the next one, if any
  auto watched = process::AdoptedProcess::watch(next, stat->start_time);
  if (!watched.ok()) return go_on_with_orphan();
  const int exit_fd = fcntl((*watched)->exit_fd(), F_DUPFD_CLOEXEC, 0);
  if (exit_fd < 0) return false;
  orphan_ = std::move(*watched);
  exit_.close();
  exit_.assign(exit_fd);
  head_ended_ = false;
  parts_.head.pid = next.value;
  Status recorded = parts_.ownership.record_root(
      next, parts_.area->path, parts_.terminal == nullptr ? RealPid() : parts_.terminal->keeper());
  if (!recorded.ok()) spdlog::warn("{}", recorded.error().text());
  complain("the program has ended; the job goes on with process " + to_string(next) + " (" +
           stat->name + ")");
  wait_for_exit();
  return true;
}

void Supervisor::finish() {
  finishing_ = true;
  lease_.cancel();
  if (Status over = parts_.suspension.end(); !over.ok()) complain(over.error().text());
  if (stop_exit_) {
    exit_status_ = *stop_exit_;
  } else if (!root_status_.ok()) {
    complain(root_status_.error().text());
    exit_status_ = exit_code(root_status_.error().kind);
    record_end({});
  } else {
    exit_status_ = exit_status_of(*root_status_);
    if (WIFSIGNALED(*root_status_) && dies_of(WTERMSIG(*root_status_))) exit_status_ |= kBySignal;
    if (!lost_terminal()) record_end(*root_status_);
  }
  if (parts_.shared != nullptr)
    parts_.shared->end(!stop_exit_ && root_status_.ok() && WIFEXITED(*root_status_));
  server_.close();
  if (moved_) hand_over();
  // A client that does not read is not waited for.
  interval_.expires_after(kLastWords);
  interval_.async_wait([this](error_code error) {
    if (!error) io_.stop();
  });
  ControlSession::when_all_sent([this] { io_.stop(); });
}

// --- a job that goes on elsewhere

// All of it was killed. Only when it is gone, another host may hear that the job is its.
void Supervisor::hand_over() {
  Status given = end_rest();
  if (given.ok()) given = parts_.ownership.end_moved(*moved_);
  stop_session_->send_last(given.ok() ? moved_reply_ : failure_reply(given.error()));
  stop_session_.reset();
}

// What the image left out, too.
Status Supervisor::end_rest() {
  const auto give_up = std::chrono::steady_clock::now() + kEndPatience;
  std::set<pid_t> heirs;
  for (const auto& heir : heirs_) heirs.insert(heir->pid().value);
  for (RealPid left; (left = parts_.find_orphan(heirs));) {
    const Result<proc::ProcessStat> stat = proc::read_stat(left);
    if (!stat.ok()) continue;
    kill(left.value, SIGKILL);
    await_end(left, stat->start_time, kEndPatience);
    if (std::chrono::steady_clock::now() >= give_up)
      return make_error(ErrorKind::kTryAgain,
                        "process " + to_string(left) + " was killed and does not end");
  }
  return {};
}

// Who kills all that belongs to the job may hit its keeper first. The program then sees its
// terminal hang up, but that is no end of its own: the job can be restarted.
bool Supervisor::lost_terminal() const {
  if (parts_.terminal == nullptr) return false;
  pollfd keeper{parts_.terminal->socket(), POLLRDHUP, 0};
  return poll(&keeper, 1, 0) > 0 && (keeper.revents & (POLLHUP | POLLRDHUP)) != 0;
}

void Supervisor::record_end(std::optional<int> wait_status) {
  Status written = parts_.ownership.write_finished(wait_status);
  if (!written.ok()) {
    complain("the program's exit status was not recorded: " + written.error().text());
  }
}

// --- signals

void Supervisor::wait_for_signals() {
  signals_.async_wait(Descriptor::wait_read, [this](error_code error) {
    if (error) return;
    take_signals([this](const signalfd_siginfo& info) { handle_signal(info, false); });
    wait_for_signals();
  });
}

void Supervisor::take_signals(const std::function<void(const signalfd_siginfo&)>& handle) {
  // The kernel hands SIGCHLD out before SIGCONT; a wake-up counts before the news that stops us.
  signalfd_siginfo info;
  std::optional<signalfd_siginfo> child_change;
  while (read(signals_.native_handle(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD)
      child_change = info;
    else
      handle(info);
  }
  if (child_change) handle(*child_change);
}

void Supervisor::handle_signal(const signalfd_siginfo& info, bool early) {
  int number = static_cast<int>(info.ssi_signo);
  if (number == SIGCHLD) return on_child_change();
  if (stop_with_program_.is_wake_up(info)) return;
  if (number == SIGCONT) go_on_by_user();
  if (number == SIGPIPE) return;  // our own: a reader of our messages has gone
  if (number == parts_.settings.request_signal) return request_from_within();
  if (head_ended_) return;
  if (early || !program_had_it_too(info, head())) pass_on(info, head());
  if (ends_programs(number)) go_on_by_user();
}

void Supervisor::on_child_change() {
  // The engine's own helper processes may be among the children while it works.
  if (runner_->busy()) return;
  reap_orphans(helpers_, [this](pid_t pid) { proc::forget_id(*parts_.area, pid); });
  if (root_ended_) return;
  if (const int number = stop_signal_of(parts_.root.pid().value)) on_stop(number);
}

// Other stops (kill -STOP) are the program's own affair: the supervisor goes on serving.
void Supervisor::on_stop(int number) {
  const bool by_job_control = number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
  if (!by_job_control || !is_stopped(parts_.root.pid())) return;
  if (parts_.terminal == nullptr) return stop_with_program_.on_stop();
  if (stop_told_) return;
  stop_told_ = true;
  parts_.terminal->say(keeper::Type::kStopped, number);
}

// --- the job's own terminal

Status Supervisor::watch_terminal() {
  if (parts_.terminal == nullptr) return {};
  const int fd = fcntl(parts_.terminal->socket(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return sys_error("watch the job's terminal");
  keeper_.assign(fd);
  wait_for_keeper();
  parts_.terminal->say(keeper::Type::kRun);
  return {};
}

void Supervisor::wait_for_keeper() {
  keeper_.async_wait(Descriptor::wait_read, [this](error_code error) {
    if (!error) take_keeper_message();
  });
}

void Supervisor::take_keeper_message() {
  Result<keeper::Message> message = keeper::receive(keeper_.native_handle());
  if (!message.ok()) return;  // the keeper was killed, and the terminal hangs up
  if (message->type == keeper::Type::kGoOn) continue_program();
  if (message->type == keeper::Type::kRedraw) redraw();
  if (message->type == keeper::Type::kBackground) stop_in_background(message->value);
  if (message->type == keeper::Type::kSignal && !head_ended_) {
    if (message->value == parts_.settings.request_signal)
      request_from_within();
    else
      kill(head().value, message->value);
    if (ends_programs(message->value)) go_on_by_user();
  }
  wait_for_keeper();
}

void Supervisor::continue_program() {
  stop_told_ = false;
  go_on_by_user();
  const pid_t group = getpgid(head().value);
  if (!head_ended_ && group > 0 && group != getpgrp()) kill(-group, SIGCONT);
}

void Supervisor::redraw() {
  const Result<proc::ProcessStat> stat = proc::read_stat(head());
  if (stat.ok() && stat->foreground) kill(-stat->foreground.value, SIGWINCH);
}

void Supervisor::stop_in_background(int number) {
  const Result<proc::ProcessStat> stat = proc::read_stat(head());
  if (runner_->busy() || head_ended_ || !stat.ok() || stat->foreground != stat->pgrp) return;
  if (parts_.suspension.by() != SuspendedBy::kNobody) return;
  if (number == 0 && reads_terminal(head())) number = SIGTTIN;
  if (number != 0) kill(-stat->pgrp.value, number);
}

// --- a job that stands still by request

Status Supervisor::suspend(SuspendedBy by, std::chrono::milliseconds lease) {
  const SuspendedBy before = parts_.suspension.by();
  CK_TRY(parts_.suspension.begin(by, lease));
  arm_lease();
  const bool by_load = parts_.suspension.by() == SuspendedBy::kLoad;
  if (by_load && before == SuspendedBy::kNobody && parts_.terminal != nullptr)
    complain("the load of this host has suspended job " + parts_.job.info().name);
  return {};
}

Status Supervisor::resume() {
  if (parts_.suspension.by() == SuspendedBy::kNobody) return {};
  lease_.cancel();
  CK_TRY(parts_.suspension.end());
  if (parts_.terminal != nullptr) redraw();  // over what was told
  return {};
}

// fg, or a SIGCONT of the user's: he wants it to run. After a signal that is to end it, it must.
void Supervisor::go_on_by_user() {
  if (Status done = resume(); !done.ok()) complain(done.error().text());
}

// Whoever stops jobs because of the load may die, and must not leave them as they are for ever.
void Supervisor::arm_lease() {
  lease_.cancel();
  if (parts_.suspension.by() != SuspendedBy::kLoad) return;
  lease_.expires_after(parts_.suspension.lease());
  lease_.async_wait([this](error_code error) {
    if (!error && parts_.suspension.by() == SuspendedBy::kLoad) go_on_by_user();
  });
}

// --- requests

void Supervisor::arm_interval() {
  if (parts_.settings.interval.count() == 0) return;
  interval_.expires_after(parts_.settings.interval);
  interval_.async_wait([this](error_code error) {
    if (error) return;
    if (!runner_->busy()) request_from_within();
    arm_interval();
  });
}

CheckpointOrder Supervisor::plain_order() {
  CheckpointOrder order;
  order.settings = order.lasting = parts_.settings;
  return order;
}

// By signal or timer: nobody waits for an answer, so a failure is told on standard error.
void Supervisor::request_from_within() {
  if (head_ended_) return;
  CheckpointOrder order = plain_order();
  order.any_will_do = true;
  order.on_done = [this](Result<CheckpointOutcome> outcome) {
    if (outcome.ok()) {
      if (!outcome->warning.empty()) complain(outcome->warning);
    } else if (!head_ended_ && outcome.error().kind != ErrorKind::kTryAgain) {
      complain("checkpoint failed: " + outcome.error().text());
    } else {
      spdlog::info("checkpoint not taken: {}", outcome.error().text());
    }
  };
  runner_->submit(std::move(order));
}

void Supervisor::handle_request(std::shared_ptr<ControlSession> session, wire::Request request) {
  switch (request.kind_case()) {
    case wire::Request::kStatus:
      return send_status(*session, {});
    case wire::Request::kCheckpoint:
      return handle_checkpoint(session, request.checkpoint());
    case wire::Request::kUnhold:
      return handle_unhold(session, request.unhold());
    case wire::Request::kSuspend:
      return handle_suspend(*session, request.suspend());
    case wire::Request::kResume:
      return handle_resume(*session, request.resume());
    case wire::Request::kNewerImage:
      return session->send_last(failure_reply(
          make_error(ErrorKind::kRefused, "job " + parts_.job.info().name + " runs here already")));
    case wire::Request::KIND_NOT_SET:
      break;
  }
  session->send_last(
      failure_reply(make_error(ErrorKind::kRefused, "the supervisor does not know this request")));
}

wire::StatusReply Supervisor::status() const {
  wire::StatusReply reply;
  reply.set_id(parts_.job.info().id);
  reply.set_name(parts_.job.info().name);
  reply.set_folder(parts_.job.path());
  reply.set_supervisor(getpid());
  reply.set_root(head().value);
  reply.set_incarnation(parts_.ownership.counter());
  reply.set_request_signal(format_signal(parts_.settings.request_signal));
  reply.set_checkpointing(runner_->busy());
  reply.set_held(runner_->held());
  reply.set_suspended_by(name(parts_.suspension.by()));
  return reply;
}

void Supervisor::send_status(ControlSession& session, const Status& done) {
  if (!done.ok()) return session.send_last(failure_reply(done.error()));
  wire::Reply reply;
  *reply.mutable_status() = status();
  session.send_last(reply);
}

void Supervisor::handle_suspend(ControlSession& session, const wire::SuspendRequest& request) {
  if (runner_->held())
    return send_status(
        session, make_error(ErrorKind::kTryAgain, "job " + parts_.job.info().name + " is held",
                            "ckpt unhold lets it go on"));
  if (head_ended_) return send_status(session, program_ended());
  const auto lease = std::chrono::milliseconds(std::min(request.lease_ms(), kLongestLeaseMs));
  const SuspendedBy by = request.by_load() ? SuspendedBy::kLoad : SuspendedBy::kUser;
  send_status(session, suspend(by, request.by_load() ? lease : lease.zero()));
}

void Supervisor::handle_resume(ControlSession& session, const wire::ResumeRequest& request) {
  const SuspendedBy by = parts_.suspension.by();
  if (request.by_load() && by != SuspendedBy::kLoad) return send_status(session, {});
  if (by == SuspendedBy::kNobody)
    return send_status(session, make_error(ErrorKind::kNotFound,
                                           "job " + parts_.job.info().name + " is not suspended"));
  send_status(session, resume());
}

namespace {

constexpr std::uint64_t kLongestTimeoutMs = 24 * 3600 * 1000;
constexpr std::uint32_t kMostThreads = 1024;

// What the request says, over the job's settings.
Result<Settings> merged(Settings settings, const wire::CheckpointRequest& request) {
  if (request.has_compress()) settings.compression = CK_TRY(parse_compression(request.compress()));
  if (request.has_threads()) settings.threads = std::min(request.threads(), kMostThreads);
  if (request.has_timeout_ms()) {
    settings.timeout = std::chrono::milliseconds(std::min(request.timeout_ms(), kLongestTimeoutMs));
  }
  if (request.has_tcp()) settings.tcp = CK_TRY(parse_tcp(request.tcp()));
  if (request.has_stop_exit()) {
    if (request.stop_exit() < 0 || request.stop_exit() > 255) {
      return make_error(ErrorKind::kUsage, "an exit status is between 0 and 255");
    }
    settings.stop_exit = request.stop_exit();
  }
  if (request.allow_uncontrolled()) settings.allow_uncontrolled = true;
  return settings;
}

wire::Reply done_reply(const CheckpointOutcome& outcome) {
  wire::Reply reply;
  wire::CheckpointReply& done = *reply.mutable_done();
  done.set_image(outcome.image);
  done.set_generation(outcome.generation);
  done.set_pause_ns(outcome.report.pause.count());
  done.set_total_ns(outcome.report.total.count());
  done.set_bytes_in(outcome.report.image.bytes_in);
  done.set_image_bytes(outcome.report.image.image_bytes);
  done.set_stopped(outcome.stopped);
  done.set_warning(outcome.warning);
  return reply;
}

}  // namespace

void Supervisor::handle_checkpoint(std::shared_ptr<ControlSession> session,
                                   const wire::CheckpointRequest& request) {
  Result<Settings> settings = merged(parts_.settings, request);
  if (!settings.ok()) return session->send_last(failure_reply(settings.error()));
  if (head_ended_) {
    return session->send_last(failure_reply(program_ended()));
  }
  CheckpointOrder order;
  order.settings = *settings;
  order.lasting = parts_.settings;
  order.stop = request.stop() || request.hold();
  order.basis = request.basis();
  order.track = request.track();
  const auto asker = std::make_shared<std::shared_ptr<ControlSession>>(session);
  if (request.hold())
    order.on_held = [this, asker](const CheckpointOutcome& outcome) {
      // Whoever asked may have died meanwhile: nobody would let it go on.
      if ((*asker)->client_gone()) return runner_->unhold(true);
      wire::Reply reply = done_reply(outcome);
      reply.mutable_done()->set_held(true);
      (*asker)->send_last(reply);
      held_asker_ = asker;
    };
  order.still_wanted = [session] { return !session->client_gone(); };
  order.on_progress = [session](const wire::ProgressReply& progress) {
    session->send_progress(progress);
  };
  int stop_exit = settings->stop_exit;
  order.on_done = [this, asker, stop_exit](Result<CheckpointOutcome> outcome) {
    const std::shared_ptr<ControlSession> session = *asker;
    if (held_asker_ == asker) held_asker_.reset();
    if (!outcome.ok()) {
      moved_.reset();
      return session->send_last(failure_reply(outcome.error()));
    }
    wire::Reply reply = done_reply(*outcome);
    if (outcome->stopped) {
      stop_exit_ = stop_exit;
      stop_session_ = session;
      heirs_ = outcome->report.heirs;
      kill(head().value, SIGKILL);  // ended already, unless something went wrong
      if (moved_) {
        moved_reply_ = std::move(reply);
        return;
      }
      session->keep_open();
    } else {
      reply.mutable_done()->set_incarnation(parts_.ownership.counter());
    }
    session->send_last(reply);
  };
  runner_->submit(std::move(order));
}

Status Supervisor::prepare_unhold(const wire::UnholdRequest& request) {
  if (!runner_->held())
    return make_error(ErrorKind::kNotFound, "job " + parts_.job.info().name + " is not held");
  const Incarnation& mine = parts_.ownership.incarnation();
  if (request.moved_to().empty()) {
    if (request.end()) return {};
    return request.has_counter() ? parts_.ownership.raise(request.counter())
                                 : parts_.ownership.check_still_mine();
  }
  if (!request.end() || !request.has_counter())
    return make_error(ErrorKind::kUsage, "a job that moves is ended here, and has a counter there");
  if (request.counter() <= mine.counter) return superseded(parts_.job, mine, request.counter());
  moved_ = move_to(request.moved_to(), request.counter());
  return {};
}

// Whoever asks for this hears how it ends.
void Supervisor::handle_unhold(std::shared_ptr<ControlSession> session,
                               const wire::UnholdRequest& request) {
  Status ready = prepare_unhold(request);
  if (!ready.ok()) return session->send_last(failure_reply(ready.error()));
  *held_asker_ = session;
  runner_->unhold(!request.end());
}

}  // namespace ck::job
