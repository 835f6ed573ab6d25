#include "driver/daemon/metrics.h"

#include <prometheus/text_serializer.h>

#include <sstream>

namespace ck::daemon {
namespace {

prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& registry, const char* name,
                                                  const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Gauge& gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

Metrics::Metrics()
    : connections_(counters(registry_, "ckd_connections_total", "Connections of peers.")),
      questions_(counters(registry_, "ckd_questions_total", "Questions to peers.")),
      decisions_(counters(registry_, "ckd_decisions_total", "Decisions of the load policy.")),
      moves_(counters(registry_, "ckd_moves_total", "Moves of jobs away from this host.")),
      jobs_(gauge(registry_, "ckd_jobs", "Jobs that run on this host.")),
      stopped_(gauge(registry_, "ckd_jobs_stopped",
                     "Jobs of this host that the load policy has stopped.")),
      load_(gauge(registry_, "ckd_load1", "Load average of a minute, of all processors.")),
      settled_load_(gauge(registry_, "ckd_settled_load",
                          "Load of each processor, with the jobs that have come lately.")),
      drained_(gauge(registry_, "ckd_drained", "1: this host takes no jobs.")),
      memory_free_(gauge(registry_, "ckd_memory_free_bytes", "Memory that could be had.")),
      peers_(gauge(registry_, "ckd_peers", "Other hosts that are configured.")),
      certificate_end_(gauge(registry_, "ckd_certificate_end_seconds",
                             "When this host's certificate expires, in seconds since 1970.")) {}

void Metrics::count_connection(const char* result) {
  connections_.Add({{"result", result}}).Increment();
}

void Metrics::count_question(const char* result) {
  questions_.Add({{"result", result}}).Increment();
}

void Metrics::count_decision(const char* decision) {
  decisions_.Add({{"decision", decision}}).Increment();
}

void Metrics::count_move(const char* cause, bool moved) {
  moves_.Add({{"cause", cause}, {"result", moved ? "moved" : "stayed"}}).Increment();
}

void Metrics::show_host(const protocol::wire::HostReport& report) {
  jobs_.Set(report.jobs());
  load_.Set(report.load_1());
  settled_load_.Set(report.settled_load());
  drained_.Set(report.draining() ? 1 : 0);
  memory_free_.Set(static_cast<double>(report.memory_free_bytes()));
}

void Metrics::show_stopped(std::size_t jobs) {
  stopped_.Set(static_cast<double>(jobs));
}

void Metrics::show_peers(std::size_t count) {
  peers_.Set(static_cast<double>(count));
}

void Metrics::show_certificate_end(double unix_seconds) {
  certificate_end_.Set(unix_seconds);
}

std::string Metrics::text() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, registry_.Collect());
  return out.str();
}

}  // namespace ck::daemon
