#include "driver/daemon/handovers.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>

#include "driver/daemon/event_log.h"
#include "driver/daemon/peer_courier.h"
#include "driver/daemon/policy_view.h"
#include "driver/daemon/spawn.h"
#include "driver/handover/wire.h"
#include "driver/migrate/job_facts.h"
#include "runtime/job/names.h"

namespace ck::daemon {

namespace handover = driver::handover;
namespace migrate = driver::migrate;
using driver::journal::Entry;
using driver::journal::Journal;

namespace {

constexpr milliseconds kLockPatience{30000};
constexpr milliseconds kLook{50};
constexpr milliseconds kTidying{2000};  // longer than that nobody waits for it
constexpr std::chrono::hours kRemembered{24 * 90};

Result<std::string> make_id() {
  unsigned char bytes[handover::kIdBytes / 2];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
    return sys_error("get random bytes");
  std::string id;
  for (unsigned char byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

bool of_target(handover::wire::Message::KindCase kind) {
  using Kind = handover::wire::Message::KindCase;
  return kind == Kind::kAccepted || kind == Kind::kReady || kind == Kind::kTaken ||
         kind == Kind::kRefused || kind == Kind::kAsk;
}

handover::wire::Message unknown(const std::string& id) {
  handover::wire::Message message;
  message.set_id(id);
  message.mutable_unknown();
  return message;
}

handover::wire::Message refused(const handover::wire::Message& offer, const Error& error) {
  return handover::to_wire(handover::terms_of(offer),
                           {.kind = handover::Message::Kind::kRefused, .reason = error.text()});
}

}  // namespace

Task<Status> Handovers::open() {
  CK_CO_CHECK(job::make_folders(folder_));
  const std::string path = folder_ + "/steps.lock";
  lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) co_return sys_error("open " + path);
  asio::steady_timer pause(executor_);
  const auto deadline = std::chrono::steady_clock::now() + kLockPatience;
  while (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) co_return sys_error("lock " + path);
    if (std::chrono::steady_clock::now() > deadline)
      co_return make_error(ErrorKind::kTryAgain,
                           "a former ckd, or what it has started, still works in " + folder_,
                           "end it, or wait for it");
    pause.expires_after(kLook);
    (void)co_await pause.async_wait(kAsTuple);
  }
  CK_CO_TRY(journal_, Journal::open(folder_ + "/handovers.sqlite"));
  CK_CO_CHECK(journal_->forget(driver::journal::now() - kRemembered));
  CK_CO_TRY(std::vector<Entry> entries, journal_->unfinished());
  for (const Entry& entry : entries) {
    Status taken = take_up(entry);
    if (!taken.ok())
      log_warning("hand-over not taken up",
                  {{"id", entry.terms.id}, {"reason", taken.error().text()}});
  }
  co_return Status();
}

Task<void> Handovers::take_back(milliseconds patience) {
  stopping_ = true;
  std::vector<Session> leaving;
  for (const auto& [id, session] : sessions_)
    if (session->leaves()) leaving.push_back(session);
  for (const Session& session : leaving) session->handle(handover::Cancel());
  const auto waits = [](const Session& session) { return session->leaves(); };
  asio::steady_timer look(executor_);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (std::any_of(leaving.begin(), leaving.end(), waits) &&
         std::chrono::steady_clock::now() < deadline) {
    look.expires_after(kLook);
    (void)co_await look.async_wait(kAsTuple);
  }
}

void Handovers::close() {
  for (auto& [id, session] : sessions_) session->close();
  sessions_.clear();
}

// Whose job it is only the journal tells: paths below a user's folder are what that user makes
// them.
Result<HandoverPlan> Handovers::plan_of(const Entry& entry) const {
  HandoverPlan plan;
  plan.terms = entry.terms;
  plan.peer = entry.peer;
  plan.image = entry.image;
  plan.jobs_folder = migrate::jobs_folder_above(entry.image);
  plan.bandwidth = state_.configuration().settings.migration.bandwidth;
  plan.user = entry.user;
  if (!plan.user.empty()) return plan;
  if (::geteuid() == 0)
    return make_error(ErrorKind::kRefused,
                      "an older ckd has begun it, which did not note whose job it is",
                      "let that version end it (ckpt resolve), then upgrade");
  plan.user = user_name(::geteuid());
  return plan;
}

Status Handovers::take_up(const Entry& entry) {
  HandoverPlan plan = CK_TRY(plan_of(entry));
  HandoverSession::Machine machine =
      handover::is_source(entry.record.phase)
          ? HandoverSession::Machine(handover::Source(entry.terms, entry.record))
          : HandoverSession::Machine(handover::Target(entry.terms, entry.record));
  add(std::move(plan), std::move(machine))->start();
  return {};
}

Handovers::Session Handovers::add(HandoverPlan plan, HandoverSession::Machine machine) {
  const std::string id = plan.terms.id;
  auto forget = [this, id] {
    // Not at once: it is the session that says so.
    asio::post(executor_, [this, id] {
      auto found = sessions_.find(id);
      if (found == sessions_.end() || !found->second->over()) return;
      sessions_.erase(found);
      newest_connection_.erase(id);
    });
  };
  auto session = std::make_shared<HandoverSession>(
      HandoverSession::Parts{state_, *journal_, executor_, lock_.get(), forget}, std::move(plan),
      std::move(machine));
  sessions_[id] = session;
  return session;
}

// One hand-over of a job at a time, and not too many in all.
Status Handovers::check_free(const std::string& user, const std::string& job) const {
  if (stopping_) return make_error(ErrorKind::kTryAgain, "this ckd is stopping");
  unsigned busy = 0;
  for (const auto& [id, session] : sessions_) {
    if (session->over()) continue;
    if (session->plan().terms.job == job && session->plan().user == user)
      return make_error(ErrorKind::kTryAgain, "job " + job + " is on its way already",
                        "ckpt resolve lists what is undecided");
    if (!session->concluded()) ++busy;
  }
  const unsigned most = state_.configuration().settings.migration.at_once;
  if (busy < most) return {};
  return make_error(ErrorKind::kTryAgain,
                    std::to_string(busy) + " jobs come or go on host " + state_.host() + " already",
                    "try again when one of them is there, or raise at_once in ckd.toml");
}

// Whether this host wants a job that is offered.
Status Handovers::check_policy(const handover::wire::Offer& offer) {
  CK_TRY(state_.check_takes_jobs());
  const handover::wire::Needs& needs = offer.needs();
  if (!needs.by_load()) return {};
  const driver::HostView self = view_of(CK_TRY(state_.report()), driver::journal::now());
  driver::JobView job;
  job.id = offer.job();
  if (!needs.job_class().empty()) job.job_class = needs.job_class();
  job.tasks = needs.tasks();
  job.memory = needs.memory_bytes();
  const cluster::BalanceSettings& balance = state_.configuration().settings.balance;
  const Status taken = driver::accepts(self, job, balance.classes, balance.options);
  if (!taken.ok()) state_.metrics().count_decision("refuse");
  return taken;
}

Task<Result<migrate::wire::Facts>> find_running_job(std::string user, std::string target,
                                                    std::string jobs_folder,
                                                    handover::wire::FilesPlan files) {
  StepWork look;
  look.what = "looking for job " + target;
  look.patience = kQuickStep;
  CK_CO_TRY(look.user, user_to_become(user));
  look.run = [=](const migrate::Report&) -> Result<migrate::wire::Result> {
    migrate::wire::Result result;
    *result.mutable_facts() = CK_TRY(migrate::job_facts(target, jobs_folder, user, files));
    return result;
  };
  const auto process = std::make_shared<StepProcess>();
  CK_CO_TRY(migrate::wire::Result found, co_await run_step(process, std::move(look)));
  co_return found.facts();
}

Task<Result<protocol::wire::MigrateReply>> Handovers::migrate(Wish wish, OnProgress on_progress,
                                                              std::function<bool()> cancelled) {
  CK_CO_CHECK(state_.check_member());
  CK_CO_CHECK(find_peer(state_, wish.host));
  auto looking = find_running_job(wish.user, wish.target, wish.jobs_folder, wish.files);
  CK_CO_TRY(migrate::wire::Facts found, co_await std::move(looking));
  handover::wire::Message offer;
  CK_CO_TRY(std::string id, make_id());
  offer.set_id(id);
  *offer.mutable_offer() = found.offer();
  const cluster::MigrationSettings& settings = state_.configuration().settings.migration;
  offer.mutable_offer()->set_lease(settings.lease.count() > 0);
  handover::wire::Needs& needs = *offer.mutable_offer()->mutable_needs();
  needs.set_by_load(wish.by_load);
  if (wish.by_load) needs.set_tasks(wish.tasks);
  CK_CO_CHECK(handover::check(offer));
  HandoverPlan plan;
  plan.terms = handover::terms_of(offer);
  CK_CO_CHECK(check_free(wish.user, plan.terms.job));
  plan.peer = wish.host;
  plan.user = wish.user;
  plan.job = found.name();
  plan.jobs_folder = wish.jobs_folder;
  plan.image = found.folder() + "/";
  plan.memory = offer.offer().needs().memory_bytes();
  plan.bandwidth = wish.bandwidth != 0 ? wish.bandwidth : settings.bandwidth;
  plan.offer = offer.offer();
  handover::Source machine(plan.terms);
  Session session = add(std::move(plan), std::move(machine));
  log_info("hand-over begins", {{"id", id}, {"job", session->plan().job}, {"peer", wish.host}});
  session->start();
  co_return co_await wait_for(std::move(session), std::move(on_progress), std::move(cancelled));
}

Task<Result<protocol::wire::MigrateReply>> Handovers::wait_for(Session session,
                                                               OnProgress on_progress,
                                                               std::function<bool()> cancelled) {
  asio::steady_timer look(executor_);
  session->on_change = [&look] { look.cancel(); };
  bool told = false;
  while (!session->concluded()) {
    look.expires_after(milliseconds(100));
    (void)co_await look.async_wait(kAsTuple);
    on_progress(session->progress);
    if (!told && cancelled()) {
      told = true;
      session->handle(handover::Cancel());
    }
  }
  session->on_change = {};
  // What it has left here would be in the way of a job that comes back at once.
  const auto patience = std::chrono::steady_clock::now() + kTidying;
  while (!session->over() && std::chrono::steady_clock::now() < patience) {
    look.expires_after(milliseconds(10));
    (void)co_await look.async_wait(kAsTuple);
  }
  const handover::Concluded end = *session->concluded();
  const HandoverSession::Figures& figures = session->figures();
  if (end.here)
    co_return make_error(ErrorKind::kRefused,
                         "job " + session->plan().job + " stays here: " + end.reason);
  protocol::wire::MigrateReply reply;
  reply.set_job(session->plan().job);
  reply.set_handover(session->plan().terms.id);
  reply.set_downtime_ns(std::chrono::nanoseconds(figures.concluded - figures.paused).count());
  reply.set_total_ns(std::chrono::nanoseconds(figures.concluded - figures.begun).count());
  reply.set_sent_bytes(figures.sent_bytes);
  reply.set_image_bytes(figures.image_bytes);
  reply.set_files(figures.files);
  reply.set_file_bytes(figures.file_bytes);
  co_return reply;
}

Result<Handovers::Session> Handovers::session_of(const std::string& peer,
                                                 const handover::wire::Message& message) {
  const auto found = sessions_.find(message.id());
  if (found != sessions_.end()) {
    if (found->second->plan().peer == peer) return found->second;
    return make_error(ErrorKind::kPermission, "that hand-over is with another host");
  }
  const std::optional<Entry> entry = CK_TRY(journal_->find(message.id()));
  if (entry) {
    if (entry->peer != peer)
      return make_error(ErrorKind::kPermission, "that hand-over is with another host");
    CK_TRY(take_up(*entry));
    return sessions_.at(message.id());
  }
  if (!message.has_offer()) return Session();
  HandoverPlan plan;
  plan.terms = handover::terms_of(message);
  plan.peer = peer;
  plan.user = message.offer().needs().user();
  // Another user's jobs come to that user's own folder.
  const auto whose = user_to_become(plan.user);
  if (whose.ok() && !*whose) plan.jobs_folder = state_.options().jobs_dir;
  plan.offer = message.offer();
  CK_TRY(check_free(plan.user, plan.terms.job));
  CK_TRY(check_policy(plan.offer));
  handover::Target machine(plan.terms);
  state_.load_of_host().job_comes(plan.terms.id, plan.offer.needs().tasks());
  return add(std::move(plan), std::move(machine));
}

Result<std::vector<handover::wire::Message>> Handovers::receive(
    const std::string& peer, std::uint64_t connection, const handover::wire::Message& message) {
  const bool known = sessions_.contains(message.id());
  Result<Session> session = session_of(peer, message);
  if (!session.ok()) {
    const ErrorKind kind = session.error().kind;
    if (message.has_offer() && (kind == ErrorKind::kTryAgain || kind == ErrorKind::kRefused))
      return std::vector{refused(message, session.error())};
    return std::move(session).error();
  }
  if (!*session) return std::vector{unknown(message.id())};
  std::uint64_t& newest = newest_connection_[message.id()];
  if (connection < newest) return make_error(ErrorKind::kRefused, "it is out of date");
  newest = connection;
  if (!known && message.has_offer() && !(*session)->is_source()) {
    (*session)->start();
    return std::vector<handover::wire::Message>();
  }
  // What comes from a source is for a target, and the other way round.
  if (!message.has_unknown() && of_target(message.kind_case()) != (*session)->is_source())
    return make_error(ErrorKind::kRefused, "that message is not for this end");
  return (*session)->receive(message);
}

Status Handovers::check_transfer(const std::string& peer, const std::string& handover) {
  const auto found = sessions_.find(handover);
  if (found == sessions_.end() || found->second->plan().peer != peer)
    return make_error(ErrorKind::kNotFound, "there is no such hand-over");
  if (found->second->wants_images()) return {};
  return make_error(ErrorKind::kRefused, "no image is wanted of this hand-over now");
}

Task<Status> Handovers::take_transfer(std::string handover, TlsChannel channel) {
  const auto found = sessions_.find(handover);
  if (found == sessions_.end()) co_return Status();
  Session session = found->second;
  co_return co_await session->take_transfer(std::move(channel));
}

Result<protocol::wire::HandoversReply> Handovers::list(const std::string& user) {
  protocol::wire::HandoversReply reply;
  for (const Entry& entry : CK_TRY(journal_->unfinished())) {
    if (!user.empty() && entry.user != user) continue;
    protocol::wire::HandoverRow& row = *reply.add_rows();
    row.set_handover(entry.terms.id);
    row.set_job(entry.terms.job);
    row.set_peer(entry.peer);
    row.set_leaves(handover::is_source(entry.record.phase));
    row.set_phase(std::string(handover::name(entry.record.phase)));
    row.set_begun_unix_ms(entry.begun.time_since_epoch().count());
    row.set_image(entry.image);
  }
  return reply;
}

Result<std::string> Handovers::resolve(const std::string& user, const std::string& id,
                                       const std::string& how) {
  const auto found = sessions_.find(id);
  const bool theirs =
      found != sessions_.end() && (user.empty() || found->second->plan().user == user);
  if (!theirs)
    return make_error(ErrorKind::kNotFound, "there is no undecided hand-over " + id,
                      "ckpt resolve lists them");
  const handover::Resolution resolution = how == "keep"   ? handover::Resolution::kKeep
                                          : how == "take" ? handover::Resolution::kTake
                                                          : handover::Resolution::kDrop;
  Session session = found->second;
  session->handle(handover::Resolve{resolution});
  const std::optional<handover::Answer>& answer = session->answer();
  if (!answer) return make_error(ErrorKind::kBug, "the hand-over did not answer");
  (void)journal_->note(id, "resolve " + how + ": " + answer->text, driver::journal::now());
  if (answer->done) return answer->text;
  return make_error(ErrorKind::kRefused, answer->text);
}

}  // namespace ck::daemon
