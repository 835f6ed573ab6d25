// A restored job that has not run yet, until somebody says how it goes on: the supervisor's end of
// the control socket meanwhile. Supervisor's main thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/job/control_server.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/keeper_link.h"

namespace ck::job {

class HeldRestart {
 public:
  struct Parts {
    const JobDir& job;
    RealPid root;  // of the job, restored
    std::string request_signal;
    const KeeperLink* terminal;  // the job's own; null: it has none
    // Makes the job this process's. If it cannot, it stays held.
    std::function<Status(std::optional<std::uint64_t> counter)> own;
  };
  explicit HeldRestart(Parts parts);

  // `listening`: the control socket, or a duplicate.
  Status serve(UniqueFd listening);
  // true: the job goes on, and is this process's; false: it ends.
  bool wait();
  // To whoever has decided that. Of an end it hears once more when this is destroyed.
  void answer(const wire::Reply& reply);

 private:
  void handle_request(std::shared_ptr<ControlSession> session, const wire::Request& request);
  void handle_unhold(std::shared_ptr<ControlSession> session, const wire::UnholdRequest& request);
  wire::StatusReply status() const;
  void wait_for_keeper();
  void take_keeper_message();
  void decide(bool goes_on);

  Parts parts_;
  boost::asio::io_context io_;
  boost::asio::posix::stream_descriptor keeper_;
  ControlServer server_;
  std::shared_ptr<ControlSession> session_;  // whose word was the last
  std::optional<bool> goes_on_;
};

}  // namespace ck::job
