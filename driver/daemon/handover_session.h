// One hand-over at this end: its state machine, and what the machine says done: records in the
// journal, messages to the peer, steps in processes of the job's owner, timers. Lives as long as
// its machine is not over. The daemon's thread only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "driver/daemon/pump.h"
#include "driver/daemon/state.h"
#include "driver/daemon/step_process.h"
#include "driver/handover/source.h"
#include "driver/handover/target.h"
#include "driver/journal/journal.h"
#include "driver/migrate/steps.h"

namespace ck::daemon {

class PeerCourier;

// What of it does not change, or not often.
struct HandoverPlan {
  driver::handover::Terms terms;
  std::string peer;
  std::string user;         // the job's owner
  std::string job;          // its name, for people
  std::string jobs_folder;  // empty: the owner's usual one
  std::string image;        // source: the job's folder and '/', until it is captured
  std::uint64_t memory = 0;
  std::uint64_t bandwidth = 0;
  driver::handover::wire::Offer offer;
  driver::handover::wire::Sealed sealed;
};

class HandoverSession : public std::enable_shared_from_this<HandoverSession> {
 public:
  using Machine = std::variant<driver::handover::Source, driver::handover::Target>;
  struct Parts {
    State& state;
    driver::journal::Journal& journal;
    asio::any_io_executor executor;
    int lock = -1;                  // inherited by the steps' processes
    std::function<void()> on_over;  // nothing is left to do
  };

  HandoverSession(Parts parts, HandoverPlan plan, Machine machine);
  ~HandoverSession();

  void start();
  void handle(driver::handover::Event event);
  // A message of the peer; what can be answered at once comes back.
  std::vector<driver::handover::wire::Message> receive(
      const driver::handover::wire::Message& message);
  // From now on everything is closed; the daemon ends.
  void close();

  const HandoverPlan& plan() const { return plan_; }
  bool is_source() const { return machine_.index() == 0; }
  bool over() const;
  driver::handover::Record::Phase record() const { return record_; }

  // At the source, until the job is given away or goes on here.
  bool leaves() const;

  // At the target, until all of the job is there.
  bool wants_images() const {
    return !is_source() && record_ == driver::handover::Record::Phase::kAccepted;
  }
  Task<Status> take_transfer(TlsChannel channel);

  struct Figures {
    std::chrono::steady_clock::time_point begun, paused, concluded;
    std::uint64_t sent_bytes = 0, image_bytes = 0;
    std::uint64_t files = 0, file_bytes = 0;
  };
  const Figures& figures() const { return figures_; }
  const std::optional<driver::handover::Concluded>& concluded() const { return concluded_; }
  // Of the last Cancel or Resolve.
  const std::optional<driver::handover::Answer>& answer() const { return answer_; }
  driver::migrate::wire::Progress progress;  // of the step that is under way
  std::function<void()> on_change;           // concluded; may be empty

 private:
  using Action = driver::handover::Action;
  void handle_events();
  void perform(const Action& action);
  void on(const driver::handover::Send& send);
  void on(const driver::handover::Write& write);
  void on(const driver::handover::Do& order);
  void on(const driver::handover::Answer& answer);
  void on(const driver::handover::Concluded& concluded);

  Task<void> run_steps();
  Task<Result<driver::migrate::wire::Result>> do_step(driver::handover::Do order);
  Task<Result<driver::migrate::wire::Result>> do_step_with_stream(driver::handover::Do order);
  Task<Result<driver::migrate::wire::Result>> send_once(std::shared_ptr<StepProcess> own,
                                                        driver::handover::Do order);
  Task<Result<UniqueFd>> open_stream();
  Task<void> end_receivers();
  Result<StepWork> work_for(const driver::handover::Do& order);
  driver::migrate::StepPlan step_plan() const;
  double link() const;
  void take_result(const driver::handover::Do& order, const driver::migrate::wire::Result& result);
  void set_timers();
  void set_timer(driver::handover::Timer timer, bool wanted, milliseconds time);
  driver::handover::wire::Message to_wire(const driver::handover::Message& message) const;

  struct Clock {
    explicit Clock(const asio::any_io_executor& executor) : timer(executor) {}
    void stop() {
      running = false;
      ++number;
      timer.cancel();
    }
    asio::steady_timer timer;
    bool running = false;
    unsigned number = 0;
  };

  Parts parts_;
  HandoverPlan plan_;
  Machine machine_;
  asio::any_io_executor executor_;
  std::shared_ptr<PeerCourier> courier_;
  std::deque<driver::handover::Event> events_;
  bool handling_ = false;
  bool closed_ = false;
  driver::handover::Record::Phase record_;
  std::vector<driver::handover::wire::Message>* replies_ = nullptr;  // while a message is handled
  std::optional<driver::handover::Do> next_step_;
  std::shared_ptr<StepProcess> step_;  // under way
  bool stepping_ = false;
  // Of the connection over which the job was copied while it ran. What is left goes over it, too:
  // while the job stands still there is no time to make another.
  UniqueFd stream_;
  std::chrono::nanoseconds round_trip_{};  // as that connection's beginning has shown; 0: not yet
  std::shared_ptr<StepProcess> receiver_;
  unsigned receivers_ = 0;  // processes, former ones included
  Clock retry_, patience_, lease_;
  Figures figures_;
  driver::transfer::LinkSpeed link_;  // as this hand-over has found it
  std::optional<driver::handover::Concluded> concluded_;
  std::optional<driver::handover::Answer> answer_;
};

}  // namespace ck::daemon
