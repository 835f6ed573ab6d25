#include "driver/daemon/handover_session.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/daemon/event_log.h"
#include "driver/daemon/peer_courier.h"
#include "driver/daemon/peer_link.h"
#include "driver/daemon/spawn.h"
#include "driver/handover/wire.h"
#include "runtime/job/names.h"

namespace ck::daemon {

namespace handover = driver::handover;
namespace migrate = driver::migrate;
using handover::Event;
using handover::Step;
using protocol::wire::PeerMessage;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kLook{5};

struct StreamPair {
  UniqueFd ours, theirs;
};

Result<StreamPair> make_stream() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return sys_error("make a socket for an image");
  return StreamPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<LocalStream> to_stream(const asio::any_io_executor& executor, UniqueFd socket) {
  LocalStream stream(executor);
  boost::system::error_code error;
  stream.assign(asio::local::stream_protocol(), socket.release(), error);
  if (error) return make_error(ErrorKind::kSystem, "use a socket: " + error.message());
  return stream;
}

handover::Record::Phase first_phase(bool source) {
  return source ? handover::Record::Phase::kPausing : handover::Record::Phase::kAccepted;
}

}  // namespace

HandoverSession::HandoverSession(Parts parts, HandoverPlan plan, Machine machine)
    : parts_(std::move(parts)),
      plan_(std::move(plan)),
      machine_(std::move(machine)),
      executor_(parts_.executor),
      record_(first_phase(is_source())),
      retry_(executor_),
      patience_(executor_),
      lease_(executor_) {
  figures_.begun = steady_clock::now();
}

HandoverSession::~HandoverSession() {
  close();
}

void HandoverSession::close() {
  closed_ = true;
  if (courier_) courier_->close();
  for (Clock* clock : {&retry_, &patience_, &lease_}) clock->stop();
  if (step_) step_->kill();
  if (receiver_) receiver_->kill();
  next_step_.reset();
  stream_.reset();
}

bool HandoverSession::over() const {
  return std::visit([](const auto& machine) { return machine.over(); }, machine_) && !stepping_;
}

bool HandoverSession::leaves() const {
  using Phase = handover::Record::Phase;
  const bool is_here = record_ == Phase::kPausing || record_ == Phase::kKept;
  return is_source() && is_here && (!concluded_ || stepping_);
}

void HandoverSession::start() {
  auto weak = weak_from_this();
  auto if_here = [weak](auto what) {
    if (auto self = weak.lock()) what(*self);
  };
  courier_ = std::make_shared<PeerCourier>(
      parts_.state, plan_.peer,
      PeerCourier::Events{
          [if_here](const handover::wire::Message& message) {
            if_here([&](HandoverSession& self) {
              self.lease_.stop();  // it begins anew: the source is heard from
              self.handle(handover::Received{handover::from_wire(message)});
            });
          },
          [if_here] { if_here([](HandoverSession& self) { self.handle(handover::LinkLost()); }); },
          [if_here] {
            if_here([](HandoverSession& self) { self.handle(handover::LinkBack()); });
          }});
  handling_ = true;
  for (const Action& action : std::visit([](auto& machine) { return machine.start(); }, machine_))
    perform(action);
  handling_ = false;
  handle_events();
}

void HandoverSession::handle(Event event) {
  if (closed_) return;
  events_.push_back(std::move(event));
  // What an action brings about at once comes after the other actions.
  if (!handling_) handle_events();
}

void HandoverSession::handle_events() {
  const auto self = shared_from_this();
  handling_ = true;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    for (const Action& action :
         std::visit([&](auto& machine) { return machine.handle(next); }, machine_))
      perform(action);
  }
  handling_ = false;
  set_timers();
  if (over()) parts_.on_over();
}

std::vector<handover::wire::Message> HandoverSession::receive(
    const handover::wire::Message& message) {
  std::vector<handover::wire::Message> replies;
  if (message.has_sealed()) plan_.sealed = message.sealed();
  replies_ = &replies;
  lease_.stop();  // it begins anew: the source is heard from
  handle(handover::Received{handover::from_wire(message)});
  replies_ = nullptr;
  return replies;
}

void HandoverSession::perform(const Action& action) {
  std::visit([this](const auto& what) { on(what); }, action);
}

handover::wire::Message HandoverSession::to_wire(const handover::Message& message) const {
  handover::wire::Message wire = handover::to_wire(plan_.terms, message);
  if (wire.has_offer()) *wire.mutable_offer()->mutable_needs() = plan_.offer.needs();
  if (wire.has_sealed()) *wire.mutable_sealed() = plan_.sealed;
  return wire;
}

void HandoverSession::on(const handover::Send& send) {
  log_event(spdlog::level::debug, "hand-over says",
            {{"id", plan_.terms.id}, {"what", std::string(handover::name(send.message.kind))}});
  if (replies_ != nullptr) {
    replies_->push_back(to_wire(send.message));
  } else {
    courier_->send(executor_, to_wire(send.message));
  }
}

void HandoverSession::on(const handover::Write& write) {
  Status written = parts_.journal.write(plan_.terms, write.record, {plan_.peer, plan_.user},
                                        plan_.image, driver::journal::now());
  if (written.ok()) {
    record_ = write.record.phase;
    log_info("hand-over", {{"id", plan_.terms.id},
                           {"job", plan_.terms.job},
                           {"peer", plan_.peer},
                           {"phase", std::string(handover::name(write.record.phase))}});
    handle(handover::RecordDurable());
  } else {
    log_warning("journal not written", {{"reason", written.error().text()}});
    handle(handover::RecordFailed());
  }
}

void HandoverSession::on(const handover::Do& order) {
  if (order.step == Step::kFreezeAndCapture) figures_.paused = steady_clock::now();
  if (step_) step_->kill();
  if (next_step_) handle(handover::StepFailed{next_step_->step, "it was overtaken"});
  next_step_ = order;
  if (stepping_) return;
  stepping_ = true;
  auto run = [](std::shared_ptr<HandoverSession> self) -> Task<void> {
    co_await self->run_steps();
  };
  spawn(executor_, run(shared_from_this()));
}

void HandoverSession::on(const handover::Answer& answer) {
  answer_ = answer;
}

void HandoverSession::on(const handover::Concluded& concluded) {
  if (!concluded_) {
    concluded_ = concluded;
    figures_.concluded = steady_clock::now();
    HostLoad& load = parts_.state.load_of_host();
    if (!is_source() && !concluded.here) load.job_does_not_come(plan_.terms.id);
    if (is_source() && !concluded.here) load.job_left(plan_.terms.id, plan_.offer.needs().tasks());
  }
  log_info("hand-over decided", {{"id", plan_.terms.id},
                                 {"job", plan_.terms.job},
                                 {"peer", plan_.peer},
                                 {"here", concluded.here ? "yes" : "no"},
                                 {"reason", concluded.reason}});
  if (on_change) on_change();
}

Task<void> HandoverSession::run_steps() {
  while (next_step_ && !closed_) {
    const handover::Do order = *std::exchange(next_step_, std::nullopt);
    step_ = std::make_shared<StepProcess>();
    log_event(spdlog::level::debug, "step begins",
              {{"id", plan_.terms.id}, {"step", std::string(handover::name(order.step))}});
    const auto begun = steady_clock::now();
    auto result = co_await do_step(order);
    step_.reset();
    if (closed_) break;
    const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begun);
    log_event(result.ok() ? spdlog::level::debug : spdlog::level::warn, "step",
              {{"id", plan_.terms.id},
               {"step", std::string(handover::name(order.step))},
               {"ms", std::to_string(took.count())},
               {"compression", result.ok() ? result->compression() : ""},
               {"failure", result.ok() ? "" : result.error().text()}});
    if (result.ok()) take_result(order, *result);
    // After the host went down, only the journal tells which image the job goes on from.
    Status noted = result.ok() ? Status() : Status(result.error());
    if (result.ok() && order.step == Step::kFreezeAndCapture)
      noted = parts_.journal.set_image(plan_.terms.id, plan_.image, driver::journal::now());
    if (noted.ok()) {
      handle(handover::StepDone{order.step});
    } else {
      handle(handover::StepFailed{order.step, noted.error().text()});
    }
  }
  stepping_ = false;
  if (!closed_ && over()) parts_.on_over();
}

void HandoverSession::take_result(const handover::Do& order, const migrate::wire::Result& result) {
  if (!result.image().empty()) plan_.image = result.image();
  if (result.has_sealed()) plan_.sealed = result.sealed();
  figures_.sent_bytes += result.sent_bytes();
  figures_.files += result.files();
  figures_.file_bytes += result.file_bytes();
  if (order.step == Step::kSendImage) figures_.image_bytes = result.image_bytes();
  const std::chrono::nanoseconds took(result.link_ns());
  link_.note(result.link_bytes(), took);
  if (plan_.bandwidth == 0) parts_.state.links[plan_.peer].note(result.link_bytes(), took);
}

// Bytes a second; 0: not known.
double HandoverSession::link() const {
  if (const auto found = link_.bytes_per_second()) return *found;
  const auto known = parts_.state.links.find(plan_.peer);
  const double speed =
      known == parts_.state.links.end() ? 0 : known->second.bytes_per_second().value_or(0);
  const auto limit = static_cast<double>(plan_.bandwidth);
  return limit > 0 && (speed == 0 || limit < speed) ? limit : speed;
}

migrate::StepPlan HandoverSession::step_plan() const {
  migrate::StepPlan plan;
  plan.terms = plan_.terms;
  plan.peer = plan_.peer;
  plan.jobs_folder = plan_.jobs_folder;
  plan.image = plan_.image;
  plan.memory = plan_.memory;
  plan.offer = plan_.offer;
  if (!is_source()) return plan;
  plan.link = link();
  plan.round_trip = round_trip_;
  plan.folder = plan.image.substr(0, plan.image.rfind('/'));
  if (plan.image.ends_with('/')) plan.image.clear();
  return plan;
}

Result<StepWork> HandoverSession::work_for(const handover::Do& order) {
  StepWork work;
  work.what = std::string(handover::name(order.step)) + " of job " + plan_.terms.job;
  work.user = CK_TRY(user_to_become(plan_.user));
  work.lock = parts_.lock;
  work.on_progress = [weak = weak_from_this()](const migrate::wire::Progress& told) {
    if (auto self = weak.lock()) self->progress = told;
  };
  return work;
}

Task<Result<migrate::wire::Result>> HandoverSession::do_step(handover::Do order) {
  if (order.step != Step::kFreezeAndCapture && order.step != Step::kSendImage) stream_.reset();
  if (order.step == Step::kDiscard || order.step == Step::kDropImage) co_await end_receivers();
  if (order.step == Step::kSendImage || order.step == Step::kCopyRunning)
    co_return co_await do_step_with_stream(order);
  CK_CO_TRY(StepWork work, work_for(order));
  work.run = [plan = step_plan(), order, source = is_source()](const migrate::Report& report) {
    migrate::StepOrder what{order.step, order.counter, {}};
    return source ? migrate::do_source_step(plan, std::move(what), report)
                  : migrate::do_target_step(plan, what);
  };
  co_return co_await run_step(step_, std::move(work));
}

// The connection may be cut and made again as often as it wants: what has arrived stays there.
Task<Result<migrate::wire::Result>> HandoverSession::do_step_with_stream(handover::Do order) {
  const std::shared_ptr<StepProcess> own = step_;
  asio::steady_timer pause(executor_);
  for (;;) {
    auto once = co_await send_once(own, order);
    const bool cut = !once.ok() && (once.error().kind == ErrorKind::kNotFound ||
                                    once.error().kind == ErrorKind::kTryAgain ||
                                    once.error().kind == ErrorKind::kSystem);
    if (!cut || own->killed() || closed_ || order.step != Step::kSendImage) co_return once;
    log_warning("image not sent", {{"id", plan_.terms.id}, {"reason", once.error().text()}});
    pause.expires_after(parts_.state.configuration().settings.migration.retry);
    (void)co_await pause.async_wait(kAsTuple);
    if (own->killed() || closed_) co_return once;
  }
}

Task<Result<migrate::wire::Result>> HandoverSession::send_once(std::shared_ptr<StepProcess> own,
                                                               handover::Do order) {
  UniqueFd stream = std::move(stream_);
  if (!stream) {
    CK_CO_TRY(stream, co_await open_stream());
  }
  UniqueFd kept;
  if (order.step == Step::kCopyRunning) kept.reset(::fcntl(stream.get(), F_DUPFD_CLOEXEC, 0));
  CK_CO_TRY(StepWork work, work_for(order));
  work.stream = stream.get();
  work.run = [plan = step_plan(), order, end = work.stream](const migrate::Report& report) {
    return migrate::do_source_step(
        plan, migrate::StepOrder{order.step, order.counter, UniqueFd(end)}, report);
  };
  auto done = co_await run_step(own, std::move(work), std::move(stream));
  if (done.ok()) stream_ = std::move(kept);
  co_return done;
}

// The end for a step's process. It is over as soon as that and its duplicates are closed.
Task<Result<UniqueFd>> HandoverSession::open_stream() {
  CK_CO_TRY(cluster::Peer peer, find_peer(parts_.state, plan_.peer));
  CK_CO_TRY(PeerLink link, co_await PeerLink::connect(parts_.state, peer));
  PeerMessage question;
  question.mutable_transfer_open()->set_handover(plan_.terms.id);
  const auto asked = steady_clock::now();
  auto answer = co_await link.ask(std::move(question), PeerMessage::kTransferReady);
  if (!answer.ok()) co_return std::move(answer).error();
  round_trip_ = steady_clock::now() - asked;
  CK_CO_TRY(StreamPair sockets, make_stream());
  CK_CO_TRY(LocalStream local, to_stream(executor_, std::move(sockets.ours)));
  auto carry = [](TlsChannel channel, LocalStream end, PumpLimits limits) -> Task<void> {
    (void)co_await pump(std::move(channel), std::move(end), limits);
  };
  PumpLimits limits;
  limits.bandwidth = plan_.bandwidth;
  spawn(executor_, carry(std::move(link).release(), std::move(local), limits));
  co_return std::move(sockets.theirs);
}

// What they might yet write would stay.
Task<void> HandoverSession::end_receivers() {
  if (receiver_) receiver_->kill();
  asio::steady_timer pause(executor_);
  while (receivers_ > 0) {
    pause.expires_after(kLook);
    (void)co_await pause.async_wait(kAsTuple);
  }
}

Task<Status> HandoverSession::take_transfer(TlsChannel channel) {
  // A former one is of a connection that is gone.
  if (receiver_) receiver_->kill();
  auto own = receiver_ = std::make_shared<StepProcess>();
  CK_CO_TRY(StreamPair sockets, make_stream());
  CK_CO_TRY(LocalStream local, to_stream(executor_, std::move(sockets.ours)));
  StepWork work;
  work.what = "receiving job " + plan_.terms.job;
  CK_CO_TRY(work.user, user_to_become(plan_.user));
  work.lock = parts_.lock;
  work.stream = sockets.theirs.get();
  work.run = [plan = step_plan(),
              stream = work.stream](const migrate::Report&) -> Result<migrate::wire::Result> {
    CK_TRY(migrate::receive_job(plan, UniqueFd(stream)));
    return migrate::wire::Result();
  };
  auto receive = [](std::shared_ptr<HandoverSession> self, std::shared_ptr<StepProcess> handle,
                    StepWork what, UniqueFd end) -> Task<void> {
    ++self->receivers_;
    auto received = co_await run_step(handle, std::move(what), std::move(end));
    --self->receivers_;
    if (!received.ok()) log_warning("image not received", {{"reason", received.error().text()}});
  };
  spawn(executor_, receive(shared_from_this(), own, std::move(work), std::move(sockets.theirs)));
  (void)co_await pump(std::move(channel), std::move(local), {});
  co_return Status();
}

void HandoverSession::set_timer(handover::Timer timer, bool wanted, milliseconds time) {
  Clock& clock = timer == handover::Timer::kRetry      ? retry_
                 : timer == handover::Timer::kPatience ? patience_
                                                       : lease_;
  if (!wanted || time.count() == 0) return clock.stop();
  if (std::exchange(clock.running, true)) return;
  clock.timer.expires_after(time);
  // One that has gone off cannot be cancelled any more: its number tells.
  clock.timer.async_wait([weak = weak_from_this(), timer, &clock,
                          number = clock.number](boost::system::error_code error) {
    auto self = weak.lock();
    if (error || !self || !clock.running || number != clock.number) return;
    clock.stop();
    self->handle(handover::TimerFired{timer});
  });
}

void HandoverSession::set_timers() {
  if (closed_) return;
  const handover::Timers wanted =
      std::visit([](const auto& machine) { return machine.timers(); }, machine_);
  const cluster::MigrationSettings& settings = parts_.state.configuration().settings.migration;
  set_timer(handover::Timer::kRetry, wanted.retry, settings.retry);
  set_timer(handover::Timer::kPatience, wanted.patience, settings.patience);
  set_timer(handover::Timer::kLease, wanted.lease, settings.lease);
}

}  // namespace ck::daemon
