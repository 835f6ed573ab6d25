// The host that a job leaves. See handover.h for the protocol and what is relied on.
#pragma once

#include <cstdint>
#include <string>

#include "driver/handover/handover.h"

namespace ck::driver::handover {

class Source {
 public:
  enum class Phase : std::uint8_t {
    kOffering,       // Offer sent, nothing heard yet
    kCopying,        // accepted; the job still runs
    kPausing,        // kPausing is being written
    kCapturing,      // from here on the job may be frozen
    kSending,        // captured; the rest is being sent
    kSealed,         // all is sent; the target restores it
    kCommitting,     // kGiven is being written
    kEnding,         // committed; the original is being killed
    kGiven,          // told, or being told
    kDelivering,     // Taken was heard; kDelivered is being written
    kDropping,       // the image goes
    kSettlingGiven,  // kGivenDone is being written
    kGivenDone,
    kRecalling,     // lease: asks whether it may keep the job; frozen
    kKeeping,       // kKept is being written
    kContinuing,    // it is being let go on here
    kKept,          // it runs here; an administrator's word that the target must still hear
    kSettlingKept,  // kKeptDone is being written
    kKeptDone,
    kStopped,  // over before the job was paused; without a record
  };
  struct State {
    Phase phase = Phase::kOffering;
    std::uint64_t counter = 0;
    std::uint8_t writes = 0;   // not answered yet
    std::uint8_t steps = 0;    // not answered yet
    bool failed = false;       // what the phase does has failed; the timer tries it again
    bool sealed = false;       // the target may be ready
    bool given_tried = false;  // kGiven may be on disk
    bool refused = false;      // heard
    bool taken = false;        // heard
    bool forced = false;       // Resolve
    bool operator==(const State&) const = default;
  };

  explicit Source(Terms terms);
  // A daemon that has started again and found `record`.
  Source(Terms terms, const Record& record);

  Actions start();  // first of all
  Actions handle(const Event& event);

  const Terms& terms() const { return terms_; }
  const State& state() const { return state_; }
  Timers timers() const;
  // Nothing is left to do. It still answers, as does one that is made from its record.
  bool over() const;

  // The answer to a target that asks about a hand-over of which there is no record.
  static Message unknown() { return {.kind = Message::Kind::kUnknown}; }

 private:
  void on(const Received& event);
  void on(const StepDone& event);
  void on(const StepFailed& event);
  void on(const RecordDurable&);
  void on(const RecordFailed&);
  void on(const LinkLost&) {}  // what is sent meanwhile is lost; the timers and LinkBack mend it
  void on(const LinkBack&);
  void on(const TimerFired& event);
  void on(const Cancel&);
  void on(const Resolve& event);

  void heard_refused(const std::string& reason);
  void heard_ready();
  void heard_taken(std::uint64_t counter);
  void heard_unknown();
  void answer_ask();
  void retry();
  void remind();

  bool may_keep_alone() const;
  bool before_commit() const;
  void stop(const std::string& reason);
  void abandon(const std::string& reason);
  void keep(const std::string& reason);
  void recall();
  void commit(std::uint64_t counter);
  void continue_here();
  void deliver();
  void drop();
  void settle(Phase phase);

  void send(Message::Kind kind, bool settled = false);
  void write(Record::Phase phase);
  void step(Step step);
  void answer(bool done, std::string text);

  Terms terms_;
  State state_;
  std::string reason_;  // why the job stays
  Actions out_;
};

}  // namespace ck::driver::handover
