// The host that a job comes to. See handover.h for the protocol and what is relied on.
#pragma once

#include <cstdint>
#include <string>

#include "driver/handover/handover.h"

namespace ck::driver::handover {

class Target {
 public:
  enum class Phase : std::uint8_t {
    kChecking,
    kAccepting,  // kAccepted is being written
    kReceiving,
    kRestoring,
    kReadying,       // kReady is being written
    kReady,          // in doubt: held
    kTaking,         // kTaken is being written
    kReleasing,      // it is being let run
    kTaken,          // it runs; kTaken is written again, or the source must still hear of Resolve
    kSettlingTaken,  // kTakenDone is being written
    kTakenDone,
    kGivingUp,         // kGivenUp is being written
    kDiscarding,       // the copy is being killed
    kGivenUp,          // Refused said; the image stays until the source has confirmed
    kForsaking,        // kGivenUp is being written again: from now on the image may be gone
    kDropping,         // the image goes
    kSettlingGivenUp,  // kGivenUpDone is being written
    kGivenUpDone,
  };
  struct State {
    Phase phase = Phase::kChecking;
    std::uint64_t counter = 0;
    std::uint8_t writes = 0;   // not answered yet
    std::uint8_t steps = 0;    // not answered yet
    bool failed = false;       // what the phase does has failed; the timer tries it again
    bool ready_tried = false;  // kReady may be on disk
    bool recorded = false;     // kTaken is on disk
    bool given = false;        // heard
    bool confirmed = false;    // the source knows what this side decided
    bool forced = false;       // Resolve
    bool source_forgot =
        false;  // Unknown heard while in doubt: no lease, an administrator's matter
    bool operator==(const State&) const = default;
  };

  explicit Target(Terms terms);  // an Offer came
  Target(Terms terms, const Record& record);

  Actions start();
  Actions handle(const Event& event);

  const Terms& terms() const { return terms_; }
  const State& state() const { return state_; }
  Timers timers() const;
  bool over() const {
    return state_.phase == Phase::kTakenDone || state_.phase == Phase::kGivenUpDone;
  }

  // The answer to any message but Offer about a hand-over of which there is no record.
  static Message unknown() { return {.kind = Message::Kind::kUnknown}; }

 private:
  void on(const Received& event);
  void on(const StepDone& event);
  void on(const StepFailed& event);
  void on(const RecordDurable&);
  void on(const RecordFailed&);
  void on(const LinkLost&) {}
  void on(const LinkBack&) { remind(); }
  void on(const TimerFired& event);
  void on(const Cancel&);
  void on(const Resolve& event);

  void heard_given(bool settled);
  void heard_withdrawn(std::uint64_t counter, bool settled);
  void heard_unknown();
  void answer_source();
  void retry();
  void remind();

  bool before_ready() const;
  void give_up(const std::string& reason);
  void discard();
  void discarded();
  void forsake();
  void drop();
  void take(std::uint64_t counter, bool forced);
  void release();
  void announce();
  void resolve_take();
  void resolve_drop();

  void enter(Phase phase, Record::Phase record);
  void send(Message::Kind kind);
  void write(Record::Phase phase);
  void step(Step step);
  void answer(bool done, std::string text);

  Terms terms_;
  State state_;
  std::string reason_;
  Actions out_;
};

}  // namespace ck::driver::handover
