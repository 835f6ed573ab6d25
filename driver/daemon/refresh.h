// What a daemon does unasked: takes news from the host with the CA, tells them if it is that host,
// and renews its own certificate in time. The daemon's thread only.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include "driver/daemon/state.h"

namespace ck::daemon {

class Refresher {
 public:
  Refresher(State& state, const asio::any_io_executor& executor)
      : state_(state), timer_(executor) {}

  Task<void> run();  // never returns
  void wake() { timer_.cancel(); }
  Task<void> tell_peers();  // the news

 private:
  Task<Status> refresh();
  Task<Status> renew();

  State& state_;
  asio::steady_timer timer_;
  std::string last_failure_;  // a failure is logged once, not every minute
};

}  // namespace ck::daemon
