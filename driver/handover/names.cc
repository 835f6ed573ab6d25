#include "driver/handover/handover.h"

namespace ck::driver::handover {

std::string_view name(Message::Kind kind) {
  switch (kind) {
    using enum Message::Kind;
    case kOffer:
      return "Offer";
    case kSealed:
      return "Sealed";
    case kGiven:
      return "Given";
    case kWithdrawn:
      return "Withdrawn";
    case kRecall:
      return "Recall";
    case kUndecided:
      return "Undecided";
    case kAccepted:
      return "Accepted";
    case kReady:
      return "Ready";
    case kTaken:
      return "Taken";
    case kRefused:
      return "Refused";
    case kAsk:
      return "Ask";
    case kUnknown:
      return "Unknown";
  }
  return "?";
}

std::string_view name(Record::Phase phase) {
  switch (phase) {
    using enum Record::Phase;
    case kPausing:
      return "pausing";
    case kGiven:
      return "given";
    case kDelivered:
      return "delivered";
    case kGivenDone:
      return "given-done";
    case kKept:
      return "kept";
    case kKeptDone:
      return "kept-done";
    case kAccepted:
      return "accepted";
    case kReady:
      return "ready";
    case kTaken:
      return "taken";
    case kTakenDone:
      return "taken-done";
    case kGivenUp:
      return "given-up";
    case kGivenUpDone:
      return "given-up-done";
  }
  return "?";
}

std::string_view name(Step step) {
  switch (step) {
    using enum Step;
    case kCopyRunning:
      return "copy-running";
    case kFreezeAndCapture:
      return "freeze-and-capture";
    case kSendImage:
      return "send-image";
    case kEndOriginal:
      return "end-original";
    case kContinueHere:
      return "continue-here";
    case kPreCheck:
      return "pre-check";
    case kRestoreHeld:
      return "restore-held";
    case kRelease:
      return "release";
    case kDiscard:
      return "discard";
    case kDropImage:
      return "drop-image";
  }
  return "?";
}

}  // namespace ck::driver::handover
