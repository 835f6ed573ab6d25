// Who moves jobs of this host without being told where to: by load, by ckpt migrate --auto, and all
// of them from a host that is drained. It decides about this host's jobs only, from what the peers
// report, with the pure functions of driver/policy; the host that is chosen decides again. The
// daemon's thread only.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "driver/daemon/handovers.h"
#include "driver/daemon/state.h"
#include "driver/policy/balance.h"

namespace ck::daemon {

// A job that runs here.
struct LocalJob {
  std::string user, name, jobs_folder;
  driver::JobView view;
};

class Balancer {
 public:
  Balancer(State& state, const asio::any_io_executor& executor)
      : state_(state), timer_(executor), random_(std::random_device{}()) {}

  // Whether this host is drained is in a file; an Error if it cannot be read.
  Status open();
  Task<void> run();  // never returns
  void wake() { timer_.cancel(); }

  using OnProgress = Handovers::OnProgress;
  using Cancelled = std::function<bool()>;
  // For one job, whatever the load: the best host, an Error if it cannot go there. For all of the
  // user's: what the load asks for, and why the others stay.
  Task<Result<protocol::wire::MovesReply>> migrate(std::string user,
                                                   protocol::wire::AutoMigrateRequest request,
                                                   OnProgress on_progress, Cancelled cancelled);
  // Returns once each of the jobs has left, or has had a try; who is `cancelled` does not end that.
  // What could not leave is tried again and again, until undrain().
  Task<Result<protocol::wire::MovesReply>> drain(OnProgress on_progress, Cancelled cancelled);
  Result<protocol::wire::MovesReply> undrain();

 private:
  struct Picture {
    driver::HostView self;
    double lately_gone = 0;  // see driver::Situation
    std::vector<driver::HostView> peers;
    std::vector<LocalJob> jobs;  // without those on their way
    std::vector<driver::JobView> views() const;
  };
  struct Mover {
    const char* cause;  // for the log and the metrics
    OnProgress on_progress;
    Cancelled cancelled;
    std::uint64_t bandwidth = 0;
  };

  Task<Result<Picture>> look(std::vector<std::string> users);
  Task<Result<Picture>> look_at_all();
  Task<Result<std::vector<LocalJob>>> jobs_of(std::string user);
  Task<Result<protocol::wire::MovesReply>> migrate_one(std::string user,
                                                       protocol::wire::AutoMigrateRequest request,
                                                       Mover mover);
  Task<Result<protocol::wire::MovesReply>> migrate_some(std::string user, Mover mover);
  Task<protocol::wire::MoveRow> move(LocalJob job, std::string target, std::string reason,
                                     Mover mover);
  Task<void> balance();
  Task<void> stop_and_continue(const Picture& picture,
                               const std::vector<driver::Decision>& decisions);
  Task<Status> suspend(LocalJob job, bool suspended);
  Task<void> move_by_load(LocalJob job, std::string target, std::string reason);
  Task<void> drain_pass();
  Task<void> drain_job(LocalJob job, std::shared_ptr<Picture> picture);
  driver::Situation situation_of(const Picture& picture, const std::vector<driver::JobView>& views);
  const cluster::BalanceSettings& settings() const {
    return state_.configuration().settings.balance;
  }

  State& state_;
  asio::steady_timer timer_;
  std::mt19937_64 random_;
  std::set<std::string> on_their_way_;  // ids of jobs that this object moves
  // Ids, and when their way was over: a look that began before may still have seen them here.
  std::map<std::string, std::chrono::steady_clock::time_point> arrived_;
  std::map<std::string, driver::Instant> refused_;   // ids; they wait as if they had just come
  std::map<std::string, std::string> cannot_leave_;  // ids, reasons: each is logged once
  std::string last_failure_;                         // is logged once
  std::map<std::string, double> stopped_tasks_;  // ids of jobs that it has stopped; what they were
  bool some_stopped_ = true;                     // perhaps: by a daemon before this one
  std::uint64_t drains_wanted_ = 0, drains_done_ = 0;  // passes
  std::vector<protocol::wire::MoveRow> drain_rows_;    // of the pass that is under way
  std::vector<protocol::wire::MoveRow> drain_reply_;   // of the last one that was wanted
  driver::migrate::wire::Progress drain_progress_;
};

}  // namespace ck::daemon
