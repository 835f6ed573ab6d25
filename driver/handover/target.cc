#include "driver/handover/target.h"

#include <utility>

namespace ck::driver::handover {

using enum Target::Phase;
using Kind = Message::Kind;

namespace {

// Whether the answer that has come is the one to what was asked last.
bool last(std::uint8_t& unanswered) {
  return unanswered > 0 && --unanswered == 0;
}

}  // namespace

Target::Target(Terms terms) : terms_(std::move(terms)) {
  state_.counter = taken_counter(terms_);
}

Target::Target(Terms terms, const Record& record) : Target(std::move(terms)) {
  state_.counter = record.counter;
  state_.forced = record.forced;
  switch (record.phase) {
    case Record::Phase::kReady:
      state_.ready_tried = true;
      state_.phase = kReady;
      break;
    case Record::Phase::kTaken:
      state_.ready_tried = state_.recorded = true;
      state_.phase = kReleasing;
      break;
    case Record::Phase::kTakenDone:
      state_.recorded = true;
      state_.phase = kTakenDone;
      break;
    case Record::Phase::kGivenUp:
      state_.ready_tried = record.was_ready;
      state_.phase = kDiscarding;
      break;
    case Record::Phase::kGivenUpDone:
      state_.phase = kGivenUpDone;
      break;
    default:
      state_.phase = kReceiving;
      break;
  }
}

Actions Target::start() {
  if (state_.phase == kChecking) step(Step::kPreCheck);
  if (state_.phase == kReleasing) release();
  if (state_.phase == kDiscarding) discard();
  return std::exchange(out_, {});
}

Actions Target::handle(const Event& event) {
  std::visit([this](const auto& what) { on(what); }, event);
  return std::exchange(out_, {});
}

Timers Target::timers() const {
  Timers timers;
  timers.retry = state_.failed || state_.phase == kReceiving || state_.phase == kReady ||
                 state_.phase == kGivenUp || (state_.phase == kTaken && state_.recorded);
  timers.patience = state_.phase == kReceiving || state_.phase == kRestoring;
  timers.lease = state_.phase == kReady && terms_.lease && !state_.source_forgot;
  return timers;
}

// --- what happened

void Target::on(const Received& event) {
  const Message& message = event.message;
  switch (message.kind) {
    case Kind::kOffer:
      answer_source();
      break;
    case Kind::kSealed:
      if (state_.phase == kReceiving) {
        state_.phase = kRestoring;
        step(Step::kRestoreHeld);
      } else {
        answer_source();
      }
      break;
    case Kind::kGiven:
      heard_given(message.settled);
      break;
    case Kind::kWithdrawn:
      heard_withdrawn(message.counter, message.settled);
      break;
    case Kind::kRecall:
      if (before_ready() || state_.phase == kReady || (state_.phase == kTaking && state_.failed)) {
        give_up("the source has asked the job back");
      } else {
        answer_source();
      }
      break;
    case Kind::kUnknown:
      heard_unknown();
      break;
    default:  // Undecided: the source will tell. The rest only a target says
      break;
  }
}

void Target::heard_given(bool settled) {
  switch (state_.phase) {
    case kChecking:
    case kAccepting:
    case kReceiving:
      give_up("the image is not whole here");
      break;
    case kRestoring:
    case kReadying:
    case kReleasing:
      state_.given = true;
      break;
    case kReady:
      state_.given = true;
      take(taken_counter(terms_), false);
      break;
    case kTaking:
      state_.given = true;
      if (state_.failed) release();
      break;
    case kTaken:
      if (settled) {
        state_.confirmed = true;
        if (state_.recorded) announce();
        break;
      }
      [[fallthrough]];
    case kSettlingTaken:
    case kTakenDone:
    case kGivenUp:
    case kForsaking:
    case kDropping:
    case kSettlingGivenUp:
    case kGivenUpDone:
      if (!settled) answer_source();
      break;
    case kGivingUp:
    case kDiscarding:
      break;  // Refused follows
  }
}

void Target::heard_withdrawn(std::uint64_t counter, bool settled) {
  switch (state_.phase) {
    case kChecking:
    case kAccepting:
    case kReceiving:
    case kRestoring:
    case kReadying:
    case kReady:
      state_.confirmed = true;
      give_up("the source keeps the job");
      break;
    case kTaking:
    case kReleasing:
    case kTaken:
    case kSettlingTaken:
    case kTakenDone:
      if (counter > state_.counter) {
        state_.confirmed = true;
        give_up("an administrator of the source decided so");
      } else {
        answer_source();
      }
      break;
    case kGivingUp:
    case kDiscarding:
      state_.confirmed = true;
      break;
    case kGivenUp:
      if (!settled) answer_source();
      forsake();
      break;
    case kForsaking:
    case kDropping:
    case kSettlingGivenUp:
    case kGivenUpDone:
      if (!settled) answer_source();
      break;
  }
}

void Target::heard_unknown() {
  switch (state_.phase) {
    case kChecking:
    case kAccepting:
    case kReceiving:
    case kRestoring:
    case kReadying:
      give_up("the source has forgotten the hand-over");
      break;
    case kReady:  // its journal was lost: what it has done nobody knows
      state_.source_forgot = true;
      break;
    case kTaken:
      state_.confirmed = true;
      if (state_.recorded) announce();
      break;
    default:
      break;
  }
}

// What the source should know in this phase.
void Target::answer_source() {
  switch (state_.phase) {
    case kReceiving:
      send(Kind::kAccepted);
      break;
    case kReady:
      send(Kind::kReady);
      break;
    case kTaken:
    case kSettlingTaken:
    case kTakenDone:
      if (state_.recorded) send(Kind::kTaken);
      break;
    case kGivenUp:
    case kForsaking:
    case kDropping:
    case kSettlingGivenUp:
    case kGivenUpDone:
      send(Kind::kRefused);
      break;
    default:  // it will hear once the phase is over
      break;
  }
}

void Target::on(const StepDone& event) {
  if (!last(state_.steps)) return;
  switch (state_.phase) {
    case kChecking:
      enter(kAccepting, Record::Phase::kAccepted);
      break;
    case kRestoring:
      if (event.step != Step::kRestoreHeld) break;
      state_.ready_tried = true;
      enter(kReadying, Record::Phase::kReady);
      break;
    case kReleasing:
      out_.emplace_back(Concluded{true, {}});
      state_.phase = kTaken;
      if (state_.recorded) {
        announce();
      } else {
        write(Record::Phase::kTaken);
      }
      break;
    case kDiscarding:
      discarded();
      break;
    case kDropping:
      enter(kSettlingGivenUp, Record::Phase::kGivenUpDone);
      break;
    default:
      break;
  }
}

void Target::on(const StepFailed& event) {
  if (!last(state_.steps)) return;
  switch (state_.phase) {
    case kChecking:
      state_.phase = kGivenUpDone;
      reason_ = event.reason;
      send(Kind::kRefused);
      out_.emplace_back(Concluded{false, reason_});
      break;
    case kRestoring:
      give_up(event.reason);
      break;
    case kReleasing:
      // The source was there a moment ago, and has its image until it hears Taken.
      if (state_.given && !state_.forced) {
        give_up(event.reason);
      } else {
        state_.failed = true;
      }
      break;
    case kDiscarding:
    case kDropping:
      state_.failed = true;
      break;
    default:
      break;
  }
}

void Target::on(const RecordDurable&) {
  if (!last(state_.writes)) return;
  switch (state_.phase) {
    case kAccepting:
      state_.phase = kReceiving;
      send(Kind::kAccepted);
      break;
    case kReadying:
      state_.phase = kReady;
      if (state_.given) {
        take(taken_counter(terms_), false);
      } else {
        send(Kind::kReady);
      }
      break;
    case kTaking:
      state_.recorded = true;
      release();
      break;
    case kTaken:
      state_.recorded = true;
      announce();
      break;
    case kSettlingTaken:
      state_.phase = kTakenDone;
      break;
    case kGivingUp:
      discard();
      break;
    case kForsaking:
      drop();
      break;
    case kSettlingGivenUp:
      state_.phase = kGivenUpDone;
      break;
    default:
      break;
  }
}

void Target::on(const RecordFailed&) {
  if (!last(state_.writes)) return;
  switch (state_.phase) {
    case kAccepting:
      reason_ = "the journal of the target cannot be written";
      discard();
      break;
    case kReadying:
      give_up("the journal of the target cannot be written");
      break;
    case kTaking:
      // What was given is run, whatever the journal says: kReady there leads to the same.
      if (state_.given) {
        release();
      } else {
        state_.failed = true;
      }
      break;
    case kGivingUp:
      // kReady on disk could take the job later; kAccepted cannot.
      if (state_.ready_tried) {
        state_.failed = true;
      } else {
        discard();
      }
      break;
    case kTaken:
    case kSettlingTaken:
    case kForsaking:
    case kSettlingGivenUp:
      state_.failed = true;
      break;
    default:
      break;
  }
}

void Target::on(const TimerFired& event) {
  switch (event.timer) {
    case Timer::kRetry:
      if (std::exchange(state_.failed, false)) {
        retry();
      } else {
        remind();
      }
      break;
    case Timer::kPatience:
      if (timers().patience) give_up("it took too long");
      break;
    case Timer::kLease:
      if (timers().lease) take(taken_counter(terms_), false);
      break;
  }
}

void Target::retry() {
  switch (state_.phase) {
    case kTaking:
    case kTaken:
      write(Record::Phase::kTaken);
      break;
    case kSettlingTaken:
      write(Record::Phase::kTakenDone);
      break;
    case kGivingUp:
    case kForsaking:
      write(Record::Phase::kGivenUp);
      break;
    case kSettlingGivenUp:
      write(Record::Phase::kGivenUpDone);
      break;
    case kReleasing:
      release();
      break;
    case kDiscarding:
      discard();
      break;
    case kDropping:
      drop();
      break;
    default:
      break;
  }
}

void Target::remind() {
  if (state_.phase == kReceiving || state_.phase == kReady) {
    send(Kind::kAsk);
  } else if (state_.phase == kGivenUp || state_.phase == kTaken) {
    answer_source();
  }
}

void Target::on(const Cancel&) {
  if (state_.phase > kRestoring) return answer(false, "only the source can cancel it now");
  give_up("it was cancelled at the target");
  answer(true, "the job stays at the source");
}

void Target::on(const Resolve& event) {
  switch (event.resolution) {
    case Resolution::kTake:
      return resolve_take();
    case Resolution::kDrop:
      return resolve_drop();
    default:
      return answer(false, "the job comes to here");
  }
}

void Target::resolve_take() {
  switch (state_.phase) {
    case kReady:
    case kGivenUp:
      take(forced_counter(terms_), true);
      return answer(true, "the job goes on here; a copy at the source is killed when it answers");
    case kTaking:
    case kReleasing:
    case kTaken:
    case kSettlingTaken:
    case kTakenDone:
      return answer(true, "the job is here already");
    case kForsaking:
    case kDropping:
    case kSettlingGivenUp:
    case kGivenUpDone:
      return answer(false, "its image is gone: the job is the source's");
    case kGivingUp:
    case kDiscarding:
      return answer(false, "it is being given up; try again in a moment");
    default:
      return answer(false, "the image is not whole here: the job is the source's");
  }
}

void Target::resolve_drop() {
  switch (state_.phase) {
    case kTaking:
    case kReleasing:
    case kTaken:
    case kSettlingTaken:
    case kTakenDone:
      return answer(false, "the job is here: ckpt --stop ends it");
    case kGivenUp:
      forsake();
      return answer(true, "the image is removed");
    case kGivingUp:
    case kDiscarding:
    case kForsaking:
    case kDropping:
    case kSettlingGivenUp:
    case kGivenUpDone:
      return answer(true, "the job is the source's already");
    case kReady:
      give_up("an administrator decided so");
      return answer(true,
                    "the job is the source's; its image stays here until the source has answered");
    default:
      give_up("an administrator decided so");
      return answer(true, "the job is the source's");
  }
}

// --- what is done

bool Target::before_ready() const {
  return state_.phase <= kReadying;
}

void Target::give_up(const std::string& reason) {
  reason_ = reason;
  // Should an administrator take it yet, what was heard and written before does not count.
  state_.given = state_.recorded = false;
  enter(kGivingUp, Record::Phase::kGivenUp);
}

void Target::discard() {
  state_.failed = false;
  state_.phase = kDiscarding;
  step(Step::kDiscard);
}

void Target::discarded() {
  out_.emplace_back(Concluded{false, reason_});
  send(Kind::kRefused);
  if (state_.ready_tried && !state_.confirmed) {
    state_.phase = kGivenUp;
  } else {
    forsake();
  }
}

// An administrator may take the job as long as the journal says that it was ready.
void Target::forsake() {
  if (!std::exchange(state_.ready_tried, false)) return drop();
  enter(kForsaking, Record::Phase::kGivenUp);
}

void Target::drop() {
  state_.failed = false;
  state_.phase = kDropping;
  step(Step::kDropImage);
}

void Target::take(std::uint64_t counter, bool forced) {
  state_.counter = counter;
  state_.forced = forced;
  state_.confirmed = false;
  enter(kTaking, Record::Phase::kTaken);
}

void Target::release() {
  state_.failed = false;
  state_.phase = kReleasing;
  step(Step::kRelease);
}

void Target::announce() {
  send(Kind::kTaken);
  if (state_.forced && !state_.confirmed) return;
  state_.forced = false;
  enter(kSettlingTaken, Record::Phase::kTakenDone);
}

void Target::enter(Phase phase, Record::Phase record) {
  state_.failed = false;
  state_.phase = phase;
  write(record);
}

void Target::send(Kind kind) {
  Message message{.kind = kind};
  if (kind == Kind::kTaken) message.counter = state_.counter;
  if (kind == Kind::kRefused) message.reason = reason_;
  out_.emplace_back(Send{std::move(message)});
}

void Target::write(Record::Phase phase) {
  ++state_.writes;
  out_.emplace_back(Write{{.phase = phase,
                           .counter = state_.counter,
                           .forced = state_.forced,
                           .was_ready = state_.ready_tried}});
}

void Target::step(Step step) {
  ++state_.steps;
  out_.emplace_back(Do{step, step == Step::kRelease ? state_.counter : 0});
}

void Target::answer(bool done, std::string text) {
  out_.emplace_back(Answer{done, std::move(text)});
}

}  // namespace ck::driver::handover
