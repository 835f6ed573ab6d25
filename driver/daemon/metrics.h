// What Prometheus is told of the daemon. The daemon's thread only.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <string>

#include "driver/protocol/peer.pb.h"

namespace ck::daemon {

class Metrics {
 public:
  Metrics();
  void count_connection(const char* result);  // "accepted", "refused", "over_limit"
  void count_question(const char* result);    // to peers: "answered", "failed"
  // Of the load policy: "migrate", "stop", "continue"; "refuse": a job that is to come.
  void count_decision(const char* decision);
  // Moves that this host has begun; `cause`: "load", "drain", "command". `moved`: else it stayed.
  void count_move(const char* cause, bool moved);
  void show_host(const protocol::wire::HostReport& report);
  void show_stopped(std::size_t jobs);  // by the load policy
  void show_peers(std::size_t count);
  void show_certificate_end(double unix_seconds);

  std::string text() const;  // the exposition format

 private:
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& connections_;
  prometheus::Family<prometheus::Counter>& questions_;
  prometheus::Family<prometheus::Counter>& decisions_;
  prometheus::Family<prometheus::Counter>& moves_;
  prometheus::Gauge &jobs_, &stopped_, &load_, &settled_load_, &drained_, &memory_free_, &peers_,
      &certificate_end_;
};

}  // namespace ck::daemon
