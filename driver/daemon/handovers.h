// All hand-overs of this host: those of the journal that are not over, and new ones. The daemon's
// thread only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "driver/cluster/certificate.h"
#include "driver/cluster/tls.h"
#include "driver/daemon/handover_session.h"
#include "driver/protocol/control.pb.h"
#include "runtime/base/unique_fd.h"

namespace ck::daemon {

// What is to be known of a job of that user that runs here: asked for in a process of the user's.
Task<Result<driver::migrate::wire::Facts>> find_running_job(
    std::string user, std::string target, std::string jobs_folder,
    driver::handover::wire::FilesPlan files);

class Handovers {
 public:
  // `folder`: of the journal; it is made if it is not there.
  Handovers(State& state, asio::any_io_executor executor, std::string folder)
      : state_(state), executor_(std::move(executor)), folder_(std::move(folder)) {}

  // Opens the journal, once the processes of a former daemon's steps are over, and takes up what it
  // left.
  Task<Status> open();
  // No more hand-overs. Jobs that leave, and are not given away yet, go on here; waits for that.
  Task<void> take_back(milliseconds patience);
  // All processes of steps end; the journal says how to go on.
  void close();

  struct Wish {
    std::string user, target, host, jobs_folder;
    std::uint64_t bandwidth = 0;
    driver::handover::wire::FilesPlan files = {};
    bool by_load = false;  // nobody has named that host: it refuses if it has no room
    double tasks = 0;      // with by_load: what the job adds to a load
  };
  // Returns once it is decided where the job is: there (then the figures of it), or an Error.
  // `on_progress` may be called meanwhile; `cancelled` is asked now and then.
  using OnProgress = std::function<void(const driver::migrate::wire::Progress&)>;
  Task<Result<protocol::wire::MigrateReply>> migrate(Wish wish, OnProgress on_progress,
                                                     std::function<bool()> cancelled);

  // A message of a peer. Connections of a peer are numbered: what comes over an older one than the
  // last is out of date.
  Result<std::vector<driver::handover::wire::Message>> receive(
      const std::string& peer, std::uint64_t connection,
      const driver::handover::wire::Message& message);
  // Whether an image of that hand-over is wanted now, and from that peer.
  Status check_transfer(const std::string& peer, const std::string& handover);
  // It must be; all that comes is taken.
  Task<Status> take_transfer(std::string handover, TlsChannel channel);

  // `user`: whose; empty: everybody's.
  Result<protocol::wire::HandoversReply> list(const std::string& user);
  Result<std::string> resolve(const std::string& user, const std::string& handover,
                              const std::string& how);

 private:
  using Session = std::shared_ptr<HandoverSession>;
  Task<Result<protocol::wire::MigrateReply>> wait_for(Session session, OnProgress on_progress,
                                                      std::function<bool()> cancelled);
  Status take_up(const driver::journal::Entry& entry);
  Result<Session> session_of(const std::string& peer,
                             const driver::handover::wire::Message& message);
  Result<HandoverPlan> plan_of(const driver::journal::Entry& entry) const;
  Session add(HandoverPlan plan, HandoverSession::Machine machine);
  Status check_free(const std::string& user, const std::string& job) const;
  Status check_policy(const driver::handover::wire::Offer& offer);

  State& state_;
  asio::any_io_executor executor_;
  std::string folder_;
  UniqueFd lock_;
  bool stopping_ = false;
  std::unique_ptr<driver::journal::Journal> journal_;
  std::map<std::string, Session> sessions_;  // by id
  std::map<std::string, std::uint64_t> newest_connection_;
};

}  // namespace ck::daemon
