#include "driver/daemon/balancer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "driver/daemon/at_once.h"
#include "driver/daemon/drained.h"
#include "driver/daemon/event_log.h"
#include "driver/daemon/peers_ask.h"
#include "driver/daemon/policy_view.h"
#include "driver/daemon/step_process.h"
#include "driver/daemon/users.h"
#include "driver/migrate/job_control.h"
#include "driver/migrate/running_jobs.h"
#include "driver/policy/fit.h"
#include "driver/protocol/check.h"
#include "runtime/job/find_job.h"

namespace ck::daemon {

namespace migrate = driver::migrate;
using driver::Decision;
using driver::journal::now;
using protocol::wire::MoveRow;
using protocol::wire::MovesReply;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kLook{100};
constexpr std::chrono::minutes kDrainPause{1};  // until a job that nobody took is offered again
constexpr std::chrono::hours kForgotten{24};
// Of a job that a daemon before this one has stopped.
constexpr double kTasksOfUnknown = 1;
// How long a job stands still after the last word of a daemon, in looks and at least.
constexpr int kLeaseLooks = 4;
constexpr std::chrono::seconds kLeastLease{10};

// Whose jobs this daemon may move: its own user's, root's all that are there.
Result<std::vector<std::string>> users_with_jobs() {
  if (::geteuid() != 0) return std::vector{user_name(::geteuid())};
  std::set<uid_t> owners;
  for (const RealPid supervisor : CK_TRY(job::list_supervisors())) {
    struct stat info {};
    if (::stat(("/proc/" + to_string(supervisor)).c_str(), &info) == 0) owners.insert(info.st_uid);
  }
  std::vector<std::string> users;
  for (const uid_t owner : owners) users.push_back(user_name(owner));
  return users;
}

MoveRow row_of(const LocalJob& job, const std::string& host, const std::string& reason) {
  MoveRow row;
  row.set_job(job.name);
  row.set_host(host);
  row.set_reason(reason);
  return row;
}

driver::HostView& find(std::vector<driver::HostView>& hosts, const std::string& name) {
  return *std::find_if(hosts.begin(), hosts.end(),
                       [&](const driver::HostView& host) { return host.name == name; });
}

const LocalJob* find(const std::vector<LocalJob>& jobs, const std::string& id) {
  const auto found = std::find_if(jobs.begin(), jobs.end(),
                                  [&](const LocalJob& job) { return job.view.id == id; });
  return found == jobs.end() ? nullptr : &*found;
}

Error stays(const std::string& job, const std::string& why) {
  return make_error(ErrorKind::kRefused, "job " + job + " stays here: " + why);
}

}  // namespace

// --- what is there

std::vector<driver::JobView> Balancer::Picture::views() const {
  std::vector<driver::JobView> views;
  for (const LocalJob& job : jobs) views.push_back(job.view);
  return views;
}

driver::Situation Balancer::situation_of(const Picture& picture,
                                         const std::vector<driver::JobView>& views) {
  return {picture.self,
          views,
          picture.peers,
          settings().classes,
          now(),
          random_(),
          static_cast<unsigned>(on_their_way_.size()),
          picture.lately_gone};
}

Task<Result<std::vector<LocalJob>>> Balancer::jobs_of(std::string user) {
  StepWork work;
  work.what = "looking at the jobs of " + user;
  work.patience = kQuickStep;
  CK_CO_TRY(work.user, user_to_become(user));
  work.run = [](const migrate::Report&) { return migrate::running_jobs(); };
  const auto process = std::make_shared<StepProcess>();
  const auto begun = steady_clock::now();
  CK_CO_TRY(migrate::wire::Result found, co_await run_step(process, std::move(work)));
  std::vector<LocalJob> jobs;
  for (const migrate::wire::RunningJob& job : found.jobs()) {
    if (on_their_way_.contains(job.id())) continue;
    const auto arrived = arrived_.find(job.id());
    if (arrived != arrived_.end() && arrived->second >= begun) continue;
    LocalJob local{user, job.name(), job.jobs_folder(), view_of(job)};
    const auto stopped = stopped_tasks_.find(job.id());
    if (local.view.stopped)
      local.view.tasks = stopped != stopped_tasks_.end() ? stopped->second : kTasksOfUnknown;
    const auto refused = refused_.find(job.id());
    if (refused != refused_.end())
      local.view.arrived = std::max(local.view.arrived, refused->second);
    jobs.push_back(std::move(local));
  }
  co_return jobs;
}

Task<Result<Balancer::Picture>> Balancer::look(std::vector<std::string> users) {
  Picture picture;
  for (const std::string& user : users) {
    Result<std::vector<LocalJob>> jobs = co_await jobs_of(user);
    // One user who cannot be served does not keep the others here.
    if (!jobs.ok() && users.size() == 1) co_return std::move(jobs).error();
    if (!jobs.ok()) {
      log_warning("jobs not seen", {{"user", user}, {"reason", jobs.error().text()}});
      continue;
    }
    for (LocalJob& job : *jobs) picture.jobs.push_back(std::move(job));
  }
  CK_CO_TRY(protocol::wire::HostsReply hosts, co_await ask_hosts(state_));
  picture.self = view_of(hosts.rows(0).report(), now());
  picture.self.load = state_.load_of_host().to_give_away(hosts.rows(0).report());
  picture.lately_gone = std::max(0.0, hosts.rows(0).report().settled_load() - picture.self.load);
  picture.peers = views_of_peers(hosts, now());
  co_return picture;
}

Task<Result<Balancer::Picture>> Balancer::look_at_all() {
  CK_CO_TRY(std::vector<std::string> users, users_with_jobs());
  co_return co_await look(std::move(users));
}

// --- one move

Task<MoveRow> Balancer::move(LocalJob job, std::string target, std::string reason, Mover mover) {
  log_info("job is to move", {{"job", job.name},
                              {"id", job.view.id},
                              {"peer", target},
                              {"cause", mover.cause},
                              {"reason", reason}});
  Handovers::Wish wish{job.user,        job.view.id, target, job.jobs_folder,
                       mover.bandwidth, {},          true,   job.view.tasks};
  on_their_way_.insert(job.view.id);
  auto moving = state_.handovers->migrate(std::move(wish), mover.on_progress, mover.cancelled);
  const auto moved = co_await std::move(moving);
  on_their_way_.erase(job.view.id);
  arrived_[job.view.id] = steady_clock::now();
  state_.metrics().count_move(mover.cause, moved.ok());
  MoveRow row =
      row_of(job, moved.ok() ? target : state_.host(), moved.ok() ? reason : moved.error().text());
  row.set_moved(moved.ok());
  row.set_failed(!moved.ok());
  if (moved.ok()) {
    refused_.erase(job.view.id);
    log_info("job has moved", {{"job", job.name}, {"id", job.view.id}, {"peer", target}});
  } else {
    refused_[job.view.id] = now();
    log_warning(
        "job has not moved",
        {{"job", job.name}, {"id", job.view.id}, {"peer", target}, {"reason", row.reason()}});
  }
  co_return row;
}

// --- by load, unasked

Task<void> Balancer::run() {
  for (;;) {
    if (state_.drained && state_.configuration().member) {
      const std::uint64_t pass = drains_wanted_;
      co_await drain_pass();
      if (pass > drains_done_) drain_reply_ = drain_rows_;
      drains_done_ = pass;
    } else if (settings().enabled && state_.configuration().member) {
      co_await balance();
    } else {
      state_.metrics().show_stopped(0);  // they go on by themselves
    }
    if (state_.drained && state_.configuration().member && drains_wanted_ > drains_done_) continue;
    timer_.expires_after(settings().period);
    co_await timer_.async_wait(kAsTuple);
  }
}

Task<void> Balancer::balance() {
  std::erase_if(refused_, [](const auto& job) { return now() - job.second > kForgotten; });
  std::erase_if(arrived_,
                [](const auto& job) { return steady_clock::now() - job.second > kForgotten; });
  const Result<protocol::wire::HostReport> own = state_.report();
  // Where no job has to leave nobody is asked, and no job is looked at.
  const auto& classes = settings().classes;
  const double load = own.ok() ? state_.load_of_host().to_give_away(*own) : 0;
  const bool calm = own.ok() && std::none_of(classes.begin(), classes.end(), [&](const auto& one) {
                      return load >= one.second.loadcheckpoint;
                    });
  if (calm && !some_stopped_) co_return;
  Result<Picture> picture = co_await look_at_all();
  const std::string failure = picture.ok() ? "" : picture.error().text();
  if (failure != last_failure_ && !picture.ok())
    log_warning("load not balanced", {{"reason", failure}});
  last_failure_ = failure;
  if (!picture.ok()) co_return;
  const std::vector<driver::JobView> views = picture->views();
  log_event(spdlog::level::debug, "load looked at",
            {{"load", driver::load_text(picture->self.load)},
             {"jobs", std::to_string(picture->jobs.size())}});
  const driver::BalanceOptions options = settings().options;
  const std::vector<Decision> decisions = driver::decide(situation_of(*picture, views), options);
  for (const Decision& decision : decisions) {
    if (decision.kind != Decision::Kind::kMigrate) continue;
    state_.metrics().count_decision("migrate");
    spawn(timer_.get_executor(),
          move_by_load(*find(picture->jobs, decision.job), decision.target, decision.reason));
  }
  co_await stop_and_continue(*picture, decisions);
}

// Those that were stopped before are told so again: a job goes on by itself when it hears nothing.
Task<void> Balancer::stop_and_continue(const Picture& picture,
                                       const std::vector<Decision>& decisions) {
  std::size_t stopped = 0;
  for (const LocalJob& job : picture.jobs) {
    const auto decision = std::find_if(decisions.begin(), decisions.end(),
                                       [&](const auto& one) { return one.job == job.view.id; });
    const bool decided = decision != decisions.end();
    if (decided ? decision->kind == Decision::Kind::kMigrate : !job.view.stopped) continue;
    const bool stops = !decided || decision->kind == Decision::Kind::kStop;
    if (decided) state_.metrics().count_decision(stops ? "stop" : "continue");
    const Status done = co_await suspend(job, stops);
    const char* const what = stops ? "job is suspended" : "job goes on";
    if (stops) ++stopped;
    if (!done.ok())
      log_warning("job not told of the load", {{"job", job.name}, {"reason", done.error().text()}});
    else if (decided)
      log_info(what, {{"job", job.name}, {"id", job.view.id}, {"reason", decision->reason}});
  }
  some_stopped_ = stopped > 0;
  state_.metrics().show_stopped(stopped);
}

Task<Status> Balancer::suspend(LocalJob job, bool suspended) {
  StepWork work;
  work.what = "suspending job " + job.name;
  work.patience = kQuickStep;
  CK_CO_TRY(work.user, user_to_become(job.user));
  const auto lease = std::max<milliseconds>(kLeaseLooks * settings().period, kLeastLease);
  work.run = [job, suspended, lease](const migrate::Report&) -> Result<migrate::wire::Result> {
    const job::JobDir folder = CK_TRY(job::JobDir::find(job.jobs_folder, job.view.id));
    CK_TRY(suspended ? migrate::suspend(folder, lease) : migrate::resume(folder));
    return migrate::wire::Result();
  };
  const auto process = std::make_shared<StepProcess>();
  CK_CO_CHECK(co_await run_step(process, std::move(work)));
  if (job.view.stopped == suspended) co_return Status();
  // The load average follows slowly.
  if (suspended) {
    stopped_tasks_[job.view.id] = job.view.tasks;
    state_.load_of_host().job_left(job.view.id, job.view.tasks);
  } else {
    stopped_tasks_.erase(job.view.id);
    state_.load_of_host().job_comes(job.view.id, job.view.tasks);
  }
  co_return Status();
}

Task<void> Balancer::move_by_load(LocalJob job, std::string target, std::string reason) {
  Mover mover{"load", [](const migrate::wire::Progress&) {}, [] { return false; }};
  auto moving = move(std::move(job), std::move(target), std::move(reason), std::move(mover));
  (void)co_await std::move(moving);
}

// --- by command

Task<Result<MovesReply>> Balancer::migrate(std::string user,
                                           protocol::wire::AutoMigrateRequest request,
                                           OnProgress on_progress, Cancelled cancelled) {
  CK_CO_CHECK(state_.check_member());
  Mover mover{"command", std::move(on_progress), std::move(cancelled), request.bandwidth()};
  const bool one = !request.target().empty();
  auto moving = one ? migrate_one(std::move(user), std::move(request), std::move(mover))
                    : migrate_some(std::move(user), std::move(mover));
  co_return co_await std::move(moving);
}

Task<Result<MovesReply>> Balancer::migrate_one(std::string user,
                                               protocol::wire::AutoMigrateRequest request,
                                               Mover mover) {
  auto looking = find_running_job(user, request.target(), request.jobs_folder(), {});
  CK_CO_TRY(migrate::wire::Facts found, co_await std::move(looking));
  const std::string& name = found.name();
  std::vector<std::string> users{user};
  CK_CO_TRY(Picture picture, co_await look(std::move(users)));
  const LocalJob* job = find(picture.jobs, found.offer().job());
  if (job == nullptr)
    co_return make_error(ErrorKind::kTryAgain, "job " + name + " is on its way, or is ending");
  const std::string never = driver::why_never(job->view, settings().classes);
  if (!never.empty()) co_return stays(name, never);
  const driver::BalanceOptions options = settings().options;
  const std::string target =
      driver::place(job->view, picture.peers, settings().classes, now(), random_(), options);
  if (target.empty())
    co_return stays(
        name, driver::why_no_host(job->view, picture.peers, settings().classes, now(), options));
  const driver::HostView& best = find(picture.peers, target);
  const double load_there = best.load + driver::share(job->view, best);
  MovesReply reply;
  if (load_there >= picture.self.load && !picture.self.draining) {
    *reply.add_rows() =
        row_of(*job, state_.host(),
               "load " + driver::load_text(picture.self.load) + " here, with it " +
                   driver::load_text(load_there) + " at " + target + ", the best other host");
    co_return reply;
  }
  std::string reason = "load " + driver::load_text(picture.self.load) + " here, " +
                       driver::load_text(best.load) + " at " + target;
  auto moving = move(*job, target, std::move(reason), std::move(mover));
  *reply.add_rows() = co_await std::move(moving);
  if (reply.rows(0).failed()) co_return make_error(ErrorKind::kRefused, reply.rows(0).reason());
  co_return reply;
}

Task<Result<MovesReply>> Balancer::migrate_some(std::string user, Mover mover) {
  std::vector<std::string> users{user};
  CK_CO_TRY(Picture picture, co_await look(std::move(users)));
  const std::vector<driver::JobView> views = picture.views();
  const driver::BalanceOptions options = settings().options;
  const driver::Situation situation = situation_of(picture, views);
  std::vector<Decision> decisions = driver::decide(situation, options);
  std::erase_if(decisions,
                [](const Decision& one) { return one.kind != Decision::Kind::kMigrate; });
  MovesReply reply;
  for (const LocalJob& job : picture.jobs) {
    const bool moves = std::any_of(decisions.begin(), decisions.end(),
                                   [&](const Decision& one) { return one.job == job.view.id; });
    if (moves || reply.rows_size() >= protocol::kMostMoves) continue;
    *reply.add_rows() =
        row_of(job, state_.host(), driver::why_it_stays(situation, job.view, options));
  }
  for (const Decision& decision : decisions) {
    if (mover.cancelled()) break;
    state_.metrics().count_decision("migrate");
    auto moving = move(*find(picture.jobs, decision.job), decision.target, decision.reason, mover);
    *reply.add_rows() = co_await std::move(moving);
  }
  co_return reply;
}

// --- a host that is drained

Status Balancer::open() {
  state_.drained = CK_TRY(read_drained(state_.options().state_folder));
  if (state_.drained) log_info("host is drained", {{"host", state_.host()}});
  return {};
}

Task<Result<MovesReply>> Balancer::drain(OnProgress on_progress, Cancelled cancelled) {
  CK_CO_CHECK(state_.check_member());
  CK_CO_CHECK(write_drained(state_.options().state_folder, true));
  if (!std::exchange(state_.drained, true)) log_info("host is drained", {{"host", state_.host()}});
  const std::uint64_t pass = ++drains_wanted_;
  refused_.clear();
  cannot_leave_.clear();
  wake();
  asio::steady_timer pause(timer_.get_executor());
  while (drains_done_ < pass && state_.drained && !cancelled()) {
    pause.expires_after(kLook);
    (void)co_await pause.async_wait(kAsTuple);
    on_progress(drain_progress_);
  }
  if (!state_.drained)
    co_return make_error(ErrorKind::kTryAgain, "somebody else said ckpt undrain meanwhile");
  MovesReply reply;
  for (const MoveRow& row : drain_reply_)
    if (reply.rows_size() < protocol::kMostMoves) *reply.add_rows() = row;
  co_return reply;
}

Result<MovesReply> Balancer::undrain() {
  CK_TRY(write_drained(state_.options().state_folder, false));
  drains_done_ = drains_wanted_;
  if (std::exchange(state_.drained, false))
    log_info("host is not drained any more", {{"host", state_.host()}});
  return MovesReply();
}

Task<void> Balancer::drain_pass() {
  drain_rows_.clear();
  drain_progress_.Clear();
  drain_progress_.set_what("looking at the jobs of this host");
  Result<Picture> seen = co_await look_at_all();
  if (!seen.ok()) {
    log_warning("host not drained", {{"reason", seen.error().text()}});
    MoveRow row;
    row.set_failed(true);
    row.set_reason(seen.error().text());
    drain_rows_.push_back(std::move(row));
    co_return;
  }
  auto picture = std::make_shared<Picture>(*std::move(seen));
  std::erase_if(picture->jobs, [this](const LocalJob& job) {
    const auto refused = refused_.find(job.view.id);
    return refused != refused_.end() && now() - refused->second < kDrainPause;
  });
  const std::vector<LocalJob> jobs = picture->jobs;
  drain_progress_.set_what("0 of " + std::to_string(jobs.size()) + " jobs have left");
  std::function<Task<void>(LocalJob)> visit = [this, picture](LocalJob job) {
    return drain_job(std::move(job), picture);
  };
  co_await for_each_at_once<LocalJob>(jobs, state_.configuration().settings.migration.at_once,
                                      visit);
}

// From one host to the next, until one takes it.
Task<void> Balancer::drain_job(LocalJob job, std::shared_ptr<Picture> picture) {
  std::vector<driver::HostView> peers = picture->peers;
  const driver::BalanceOptions options = settings().options;
  const std::string reason = "host " + state_.host() + " is drained";
  MoveRow row = row_of(job, state_.host(), driver::why_never(job.view, settings().classes));
  row.set_failed(true);
  std::string refusals;
  while (state_.drained && row.failed() && row.reason().empty()) {
    for (driver::HostView& peer : peers) peer.load = find(picture->peers, peer.name).load;
    const std::string target =
        driver::place(job.view, peers, settings().classes, now(), random_(), options);
    if (target.empty()) {
      row.set_reason(refusals.empty()
                         ? driver::why_no_host(job.view, peers, settings().classes, now(), options)
                         : refusals);
      break;
    }
    driver::HostView& there = find(picture->peers, target);
    const double share = driver::share(job.view, there);
    there.load += share;
    Mover mover{"drain",
                [this](const migrate::wire::Progress& told) {
                  drain_progress_.set_done_bytes(told.done_bytes());
                  drain_progress_.set_total_bytes(told.total_bytes());
                },
                [this] { return !state_.drained; }};
    auto moving = move(job, target, reason, std::move(mover));
    row = co_await std::move(moving);
    if (row.moved()) break;
    there.load -= share;
    refusals += (refusals.empty() ? "" : "; ") + target + ": " + row.reason();
    row.clear_reason();
    std::erase_if(peers, [&](const driver::HostView& peer) { return peer.name == target; });
  }
  if (row.failed() && std::exchange(cannot_leave_[job.view.id], row.reason()) != row.reason())
    log_warning("job cannot leave", {{"job", job.name}, {"reason", row.reason()}});
  drain_rows_.push_back(row);
  const auto left = std::count_if(drain_rows_.begin(), drain_rows_.end(),
                                  [](const MoveRow& one) { return one.moved(); });
  drain_progress_.set_what(std::to_string(left) + " of " + std::to_string(picture->jobs.size()) +
                           " jobs have left, the last one looked at was " + job.name);
}

}  // namespace ck::daemon
