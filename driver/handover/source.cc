#include "driver/handover/source.h"

#include <utility>

namespace ck::driver::handover {

using enum Source::Phase;
using Kind = Message::Kind;

namespace {

// Whether the answer that has come is the one to what was asked last.
bool last(std::uint8_t& unanswered) {
  return unanswered > 0 && --unanswered == 0;
}

}  // namespace

Source::Source(Terms terms) : terms_(std::move(terms)) {
  state_.counter = taken_counter(terms_);
}

Source::Source(Terms terms, const Record& record) : Source(std::move(terms)) {
  state_.counter = record.counter;
  state_.forced = record.forced;
  switch (record.phase) {
    case Record::Phase::kGiven:
      state_.given_tried = true;
      state_.phase = kEnding;
      break;
    case Record::Phase::kDelivered:
      state_.phase = kDropping;
      break;
    case Record::Phase::kGivenDone:
      state_.phase = kGivenDone;
      break;
    case Record::Phase::kKept:
      state_.phase = kContinuing;
      break;
    case Record::Phase::kKeptDone:
      state_.phase = kKeptDone;
      break;
    default:
      // How far it had come is not known: Sealed may have been said.
      state_.sealed = true;
      state_.phase = kPausing;
      break;
  }
}

Actions Source::start() {
  switch (state_.phase) {
    case kOffering:
      send(Kind::kOffer);
      break;
    case kPausing:
      abandon("the daemon of this host was started again");
      break;
    case kEnding:
      step(Step::kEndOriginal);
      break;
    case kDropping:
      drop();
      break;
    case kContinuing:
      continue_here();
      break;
    default:
      break;
  }
  return std::exchange(out_, {});
}

Actions Source::handle(const Event& event) {
  std::visit([this](const auto& what) { on(what); }, event);
  return std::exchange(out_, {});
}

bool Source::over() const {
  return state_.phase == kGivenDone || state_.phase == kKeptDone || state_.phase == kStopped;
}

Timers Source::timers() const {
  Timers timers;
  switch (state_.phase) {
    case kOffering:
    case kSealed:
      timers.retry = timers.patience = true;
      break;
    case kCopying:
    case kPausing:
    case kCapturing:
    case kSending:
      timers.patience = true;
      break;
    case kGiven:
    case kRecalling:
    case kKept:
      timers.retry = true;
      break;
    default:
      timers.retry = state_.failed;
      break;
  }
  return timers;
}

// --- what happened

void Source::on(const Received& event) {
  const Message& message = event.message;
  switch (message.kind) {
    case Kind::kAccepted:
      if (state_.phase != kOffering) break;
      state_.phase = kCopying;
      step(Step::kCopyRunning);
      break;
    case Kind::kRefused:
      heard_refused(message.reason);
      break;
    case Kind::kReady:
      heard_ready();
      break;
    case Kind::kTaken:
      heard_taken(message.counter);
      break;
    case Kind::kAsk:
      answer_ask();
      break;
    case Kind::kUnknown:
      heard_unknown();
      break;
    default:  // only a source says it
      break;
  }
}

void Source::heard_refused(const std::string& reason) {
  switch (state_.phase) {
    case kOffering:
    case kCopying:
      stop(reason);
      break;
    case kPausing:
    case kCapturing:
    case kSending:
    case kSealed:
    case kCommitting:
    case kEnding:
    case kGiven:
    case kRecalling:
      state_.refused = true;
      keep(reason);
      break;
    case kKeeping:
    case kContinuing:
      state_.refused = true;
      break;
    case kKept:
      state_.refused = true;
      send(Kind::kWithdrawn, true);
      settle(kSettlingKept);
      break;
    case kSettlingKept:
    case kKeptDone:
    case kStopped:
      state_.refused = true;
      send(Kind::kWithdrawn, true);
      break;
    case kDelivering:
    case kDropping:
    case kSettlingGiven:
    case kGivenDone:
      break;  // Taken was heard: this is older, or nonsense
  }
}

void Source::heard_ready() {
  switch (state_.phase) {
    case kSealed:
      commit(taken_counter(terms_));
      break;
    case kGiven:
    case kGivenDone:
      send(Kind::kGiven);
      break;
    case kContinuing:
    case kKept:
    case kSettlingKept:
    case kKeptDone:
    case kStopped:
      send(Kind::kWithdrawn);
      break;
    default:  // before Sealed, or something is being decided that the target will hear
      break;
  }
}

void Source::heard_taken(std::uint64_t counter) {
  switch (state_.phase) {
    case kOffering:
    case kCopying:
    case kStopped:
      break;  // nothing was ever there to be taken
    case kPausing:
    case kCapturing:
    case kSending:
    case kSealed:
    case kRecalling:
      state_.taken = true;
      commit(counter);
      break;
    case kCommitting:
    case kEnding:
      state_.taken = true;
      break;
    case kGiven:
      deliver();
      break;
    case kKeeping:
    case kContinuing:
    case kKept:
    case kSettlingKept:
    case kKeptDone:
      if (counter > state_.counter) {
        state_.taken = true;
        commit(counter);
      } else if (state_.phase != kKeeping) {
        send(Kind::kWithdrawn, state_.refused);
      }
      break;
    case kDelivering:
    case kDropping:
    case kSettlingGiven:
      break;
    case kGivenDone:
      send(Kind::kGiven, true);
      break;
  }
}

void Source::heard_unknown() {
  switch (state_.phase) {
    case kCopying:
      stop("the target has forgotten the hand-over");
      break;
    case kPausing:
    case kCapturing:
    case kSending:
    case kSealed:
      abandon("the target has forgotten the hand-over");
      break;
    case kKept:
      settle(kSettlingKept);
      break;
    default:  // after the commit only an administrator knows why a journal was lost
      break;
  }
}

void Source::answer_ask() {
  switch (state_.phase) {
    case kRecalling:
      send(Kind::kRecall);
      break;
    case kGiven:
    case kDelivering:
    case kDropping:
    case kSettlingGiven:
    case kGivenDone:
      send(Kind::kGiven);
      break;
    case kContinuing:
    case kKept:
    case kSettlingKept:
    case kKeptDone:
    case kStopped:
      send(Kind::kWithdrawn, state_.refused);
      break;
    default:
      send(Kind::kUndecided);
      break;
  }
}

void Source::on(const StepDone& event) {
  if (!last(state_.steps)) return;  // a later one has been given
  switch (state_.phase) {
    case kCopying:
      if (event.step != Step::kCopyRunning) break;
      state_.phase = kPausing;
      write(Record::Phase::kPausing);
      break;
    case kCapturing:
      state_.phase = kSending;
      step(Step::kSendImage);
      break;
    case kSending:
      state_.phase = kSealed;
      state_.sealed = true;
      send(Kind::kSealed);
      break;
    case kEnding:
      if (state_.taken) {
        deliver();
      } else {
        state_.phase = kGiven;
        send(Kind::kGiven);
      }
      break;
    case kContinuing:
      out_.emplace_back(Concluded{true, reason_});
      if (state_.forced && !state_.refused) {
        state_.phase = kKept;
      } else {
        settle(kSettlingKept);
      }
      break;
    case kDropping:
      settle(kSettlingGiven);
      break;
    default:  // it was overtaken by a decision that is still being written
      break;
  }
}

void Source::on(const StepFailed& event) {
  if (!last(state_.steps)) return;
  switch (state_.phase) {
    case kCopying:
      stop(event.reason);
      break;
    case kCapturing:
    case kSending:
      abandon(event.reason);
      break;
    case kEnding:
    case kContinuing:
    case kDropping:
      state_.failed = true;
      break;
    default:
      break;
  }
}

void Source::on(const RecordDurable&) {
  if (!last(state_.writes)) return;
  switch (state_.phase) {
    case kPausing:
      state_.phase = kCapturing;
      step(Step::kFreezeAndCapture);
      break;
    case kCommitting:
      state_.phase = kEnding;
      step(Step::kEndOriginal);
      break;
    case kDelivering:
      drop();
      break;
    case kKeeping:
      continue_here();
      break;
    case kSettlingKept:
      state_.phase = kKeptDone;
      break;
    case kSettlingGiven:
      state_.phase = kGivenDone;
      break;
    default:
      break;
  }
}

void Source::on(const RecordFailed&) {
  if (!last(state_.writes)) return;
  switch (state_.phase) {
    case kPausing:
      abandon("the journal of this host cannot be written");
      break;
    case kKeeping:
      // Whatever is on disk leads to kKept again, unless kGiven may be there, the target may take
      // the job, or the target's journal may say so already (forced).
      if (!state_.given_tried && !state_.forced && may_keep_alone()) {
        continue_here();
      } else {
        state_.failed = true;
      }
      break;
    case kCommitting:
    case kDelivering:
    case kSettlingKept:
    case kSettlingGiven:
      state_.failed = true;
      break;
    default:
      break;
  }
}

void Source::on(const LinkBack&) {
  if (state_.phase == kSealed) {  // the target may have lost what was not on its disk
    state_.phase = kSending;
    step(Step::kSendImage);
    return;
  }
  remind();
}

void Source::on(const TimerFired& event) {
  if (event.timer == Timer::kRetry) {
    if (std::exchange(state_.failed, false)) {
      retry();
    } else {
      remind();
    }
  } else if (event.timer == Timer::kPatience && before_commit()) {
    abandon("it took too long");
  }
}

void Source::retry() {
  switch (state_.phase) {
    case kCommitting:
      write(Record::Phase::kGiven);
      break;
    case kDelivering:
      write(Record::Phase::kDelivered);
      break;
    case kKeeping:
      write(Record::Phase::kKept);
      break;
    case kSettlingKept:
      write(Record::Phase::kKeptDone);
      break;
    case kSettlingGiven:
      write(Record::Phase::kGivenDone);
      break;
    case kEnding:
      step(Step::kEndOriginal);
      break;
    case kContinuing:
      step(Step::kContinueHere);
      break;
    case kDropping:
      step(Step::kDropImage);
      break;
    default:
      break;
  }
}

// Says once more what the target may not have heard.
void Source::remind() {
  switch (state_.phase) {
    case kOffering:
      send(Kind::kOffer);
      break;
    case kSealed:
      send(Kind::kSealed);
      break;
    case kGiven:
      send(Kind::kGiven);
      break;
    case kRecalling:
      send(Kind::kRecall);
      break;
    case kKept:
      send(Kind::kWithdrawn);
      break;
    default:
      break;
  }
}

void Source::on(const Cancel&) {
  if (before_commit()) {
    abandon("it was cancelled");
    answer(true, "the job goes on here");
  } else if (state_.phase == kCommitting && state_.failed) {
    abandon("it was cancelled");
    answer(true, "the job goes on here as soon as the journal can be written");
  } else if (state_.phase == kRecalling) {
    answer(true, "the job goes on here as soon as the target agrees");
  } else {
    answer(false, "it is decided already");
  }
}

void Source::on(const Resolve& event) {
  if (event.resolution != Resolution::kKeep)
    return answer(false, "the job leaves from here: say keep, or resolve it at the target");
  switch (state_.phase) {
    case kOffering:
    case kCopying:
      stop("an administrator decided so");
      return answer(true, "the job goes on here");
    case kPausing:
    case kCapturing:
    case kSending:
    case kSealed:
    case kRecalling:
    case kCommitting:
    case kEnding:
    case kGiven:
      state_.forced = true;
      keep("an administrator decided so");
      return answer(true, "the job goes on here; a copy at the target is killed when it answers");
    case kDelivering:
    case kDropping:
    case kSettlingGiven:
    case kGivenDone:
      return answer(false, "the target has it: it runs there");
    default:
      return answer(true, "the job is here already");
  }
}

// --- what is done

// Whether no target can have the job without the commit, or has said that it never will.
bool Source::may_keep_alone() const {
  return !terms_.lease || !state_.sealed || state_.refused || state_.forced;
}

bool Source::before_commit() const {
  return state_.phase <= kSealed;
}

void Source::stop(const std::string& reason) {
  state_.phase = kStopped;
  send(Kind::kWithdrawn, true);
  out_.emplace_back(Concluded{true, reason});
}

void Source::abandon(const std::string& reason) {
  if (state_.phase == kOffering || state_.phase == kCopying) return stop(reason);
  reason_ = reason;
  if (may_keep_alone()) {
    keep(reason);
  } else {
    recall();
  }
}

void Source::keep(const std::string& reason) {
  reason_ = reason;
  state_.counter = kept_counter(terms_);
  state_.failed = false;
  state_.phase = kKeeping;
  write(Record::Phase::kKept);
}

void Source::recall() {
  state_.failed = false;
  state_.phase = kRecalling;
  send(Kind::kRecall);
}

void Source::commit(std::uint64_t counter) {
  state_.counter = counter;
  state_.failed = false;
  state_.forced = false;
  state_.given_tried = true;
  state_.phase = kCommitting;
  write(Record::Phase::kGiven);
}

void Source::continue_here() {
  state_.failed = false;
  state_.phase = kContinuing;
  step(Step::kContinueHere);
  send(Kind::kWithdrawn, state_.refused);
}

// The image is what a target could give the job back to; from now on it is not needed.
void Source::deliver() {
  out_.emplace_back(Concluded{});
  state_.failed = false;
  state_.phase = kDelivering;
  write(Record::Phase::kDelivered);
}

void Source::drop() {
  state_.failed = false;
  state_.phase = kDropping;
  step(Step::kDropImage);
}

void Source::settle(Phase phase) {
  state_.failed = false;
  state_.forced = false;
  state_.phase = phase;
  write(phase == kSettlingKept ? Record::Phase::kKeptDone : Record::Phase::kGivenDone);
}

void Source::send(Kind kind, bool settled) {
  Message message{.kind = kind, .settled = settled};
  if (kind == Kind::kWithdrawn) message.counter = kept_counter(terms_);
  out_.emplace_back(Send{std::move(message)});
}

void Source::write(Record::Phase phase) {
  ++state_.writes;
  out_.emplace_back(Write{{.phase = phase, .counter = state_.counter, .forced = state_.forced}});
}

void Source::step(Step step) {
  ++state_.steps;
  const bool of_a_life = step == Step::kContinueHere || step == Step::kEndOriginal;
  out_.emplace_back(Do{step, of_a_life ? state_.counter : 0});
}

void Source::answer(bool done, std::string text) {
  out_.emplace_back(Answer{done, std::move(text)});
}

}  // namespace ck::driver::handover
