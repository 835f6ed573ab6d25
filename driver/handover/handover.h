// The hand-over of one job between two hosts: its words, and its contract. The two sides are
// Source (source.h) and Target (target.h): state machines without I/O, clock or thread. A daemon
// tells them what happened (Event) and does what they say (Action). Values; any thread, one at a
// time each.
//
// The commit point is one: the source's record kGiven, durable in its journal. It is written only
// after the target has said Ready, which the target says only once its own record kReady is
// durable: the image whole on its disk, the job restored from it and held. The original, frozen
// since the capture, is killed after the commit and before the target is told (Given). The target
// releases its copy only when it has been told. In doubt (Ready said, nothing heard) it asks, and
// the source answers from its journal.
//
//   source  Offer ──────────────> target   pre-check           *kAccepted
//           <───────────── Accepted
//           copies while the job runs; *kPausing; freezes, captures; sends the rest
//           Sealed ─────────────>          restores, holds     *kReady
//           <──────────────── Ready
//           *kGiven (commit); kills the original
//           Given ──────────────>          *kTaken, releases
//           <──────────────── Taken        *kTakenDone
//           *kDelivered, drops its image, *kGivenDone          (* durable before going on)
//
// Refused is the target's last word, sent only when nothing of the job runs or is held there and
// nothing ever will (but by Resolve, below). A source that hears it has the job, whatever it said
// before; its image is there until Taken. So a target that cannot release what it was given gives
// it back.
//
// What each side does after its daemon was killed or its host went down at any point, from the
// journal (a host that went down lost its processes, too; ContinueHere and Release then restart
// from the image):
//
//   source's record | what may be true              | it does
//   none            | never paused                  | nothing: the job runs on; says Unknown
//   kPausing        | running or frozen, no commit  | *kKept, goes on here (lease: Recall first)
//   kGiven          | original frozen or dead       | kills it, then Given until Taken or Refused
//   kDelivered      | it runs at the target         | drops the image
//   kGivenDone      | it runs at the target         | nothing; answers Given
//   kKept           | frozen, running or dead       | goes on here; says Withdrawn
//   kKeptDone       | it runs here                  | nothing; answers Withdrawn
//
//   target's record | what may be true              | it does
//   none            | never accepted                | nothing; says Unknown
//   kAccepted       | part of an image              | waits for Sealed, asks; Unknown or Withdrawn,
//                   |                               | or patience over: gives up
//   kReady          | held or dead, image whole     | in doubt: asks until Given or Withdrawn
//   kTaken          | held, running or dead         | releases (nothing to do if it runs), Taken
//   kTakenDone      | it runs here, or has ended    | nothing; answers Taken
//   kGivenUp        | held or dead                  | discards, Refused; drops the image when the
//                   |                               | source has confirmed, if Ready was said
//   kGivenUpDone    | nothing                       | nothing; answers Refused
//
// A cut link, by the phase of the two when it comes:
//
//   source was        | target was      | meanwhile                   | once it is back
//   offering, copying | any             | job runs; patience: stops   | Unknown: the target drops
//   sending, sealed   | receiving       | frozen; patience: goes on   | sends what is missing, or
//                     |                 | here                        | Withdrawn
//   sealed            | ready           | as above; target in doubt   | Ready again, or Withdrawn
//   sealed, lease     | ready           | frozen; lease over: target  | Taken: the source kills its
//                     |                 | takes it                    | own; else Ready again
//   committing, given | ready           | none runs; two images       | Given
//   given             | taken           | runs at the target          | Given, Taken
//   kept              | ready, given up | runs at the source          | Withdrawn
//
// Who waits if the hosts lose each other between Ready and Given is Terms::lease. Without it (the
// default) the source may always take the job back and the target waits, for an administrator if
// the source never returns. With it a target that has heard nothing for the lease takes the job,
// and so the source, once it has sent Sealed, never takes it back without the target's Refused.
//
// Resolve is an administrator's word about a host that will not answer. It can make two copies of
// a job if it is wrong; when the hosts hear each other again, the one with the lower counter of
// incarnation is killed: the target's first life has n+1, what the source keeps n+2, what the
// target took by Resolve n+3, where n is the copy that was offered.
//
// A record whose write has failed may be on disk or not. Nothing that only one of the two allows
// is done until a later record is durable.
//
// What the machines rely on:
// - Records of one hand-over become durable in the order in which they were given; each is
//   answered once, RecordDurable or RecordFailed. So is each step, StepDone or StepFailed; a step
//   that is given while another is under way ends that one first (finished or abandoned, and
//   answered).
// - After FreezeAndCapture is done the original runs again only by ContinueHere. If what holds it
//   dies, it dies: the image is durable by then. (Until then it goes on, as in any checkpoint.)
//   A copy that RestoreHeld made is as dead or held.
// - Steps are goals: done if what they name is so already, also after a crash in their middle.
//   Before a restarted daemon asks for any, the former daemon's are over. ContinueHere and Release
//   do nothing for a job that has ended meanwhile.
// - Messages arrive whole, in order, and only from the peer of this hand-over; any may be lost.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ck::driver::handover {

// What tells one life of a job from the others: see runtime/job/incarnation.h.
struct Token {
  std::uint64_t counter = 0;
  std::string host;
  std::int64_t supervisor = 0;  // pid, and when it started (clock ticks since boot)
  std::uint64_t supervisor_start = 0;
  bool operator==(const Token&) const = default;
};

// What does not change during a hand-over; both sides know it from the Offer on.
struct Terms {
  std::string id;   // of the hand-over, unique for ever
  std::string job;  // its id
  Token token;      // of the copy that is offered
  bool lease = false;
  bool operator==(const Terms&) const = default;
};

// Counters of the lives that a hand-over can lead to.
constexpr std::uint64_t taken_counter(const Terms& terms) {
  return terms.token.counter + 1;
}
constexpr std::uint64_t kept_counter(const Terms& terms) {
  return terms.token.counter + 2;
}
constexpr std::uint64_t forced_counter(const Terms& terms) {
  return terms.token.counter + 3;
}

struct Message {
  enum class Kind : std::uint8_t {
    // From the source.
    kOffer,
    kSealed,     // the whole image was sent
    kGiven,      // committed, and the original is dead
    kWithdrawn,  // the source keeps the job
    kRecall,     // lease: may the source have it back?
    kUndecided,  // the answer to Ask before the commit
    // From the target.
    kAccepted,
    kReady,
    kTaken,
    kRefused,
    kAsk,
    // From both: no such hand-over in the journal.
    kUnknown,
  };
  Kind kind = Kind::kUnknown;
  std::uint64_t counter = 0;  // Taken, Withdrawn: of the life that goes on
  bool settled = false;       // Given, Withdrawn: an answer to the target's word, needs none
  std::string reason;         // Refused: one line for people
  bool operator==(const Message&) const = default;
};

// What a journal keeps of a hand-over besides its terms. The newest one counts.
struct Record {
  enum class Phase : std::uint8_t {
    kPausing,
    kGiven,
    kDelivered,
    kGivenDone,
    kKept,
    kKeptDone,
    kAccepted,
    kReady,
    kTaken,
    kTakenDone,
    kGivenUp,
    kGivenUpDone,
  };
  Phase phase = Phase::kPausing;
  std::uint64_t counter = 0;  // of the life that goes on, as far as this side knows
  bool forced = false;        // by Resolve; the peer has not confirmed it yet
  bool was_ready = false;     // kGivenUp: kReady may have been durable before, the image is whole
  bool operator==(const Record&) const = default;
};

constexpr bool is_source(Record::Phase phase) {
  return phase <= Record::Phase::kKeptDone;
}
// Nothing is left to be done; the record answers the peer's questions.
constexpr bool is_over(Record::Phase phase) {
  return phase == Record::Phase::kGivenDone || phase == Record::Phase::kKeptDone ||
         phase == Record::Phase::kTakenDone || phase == Record::Phase::kGivenUpDone;
}

// What the engine (or the transfer) is asked to do.
enum class Step : std::uint8_t {
  // At the source.
  kCopyRunning,       // send memory while the job runs, in rounds
  kFreezeAndCapture,  // done: the image is durable here, and the original is held
  kSendImage,         // done: the target has all of it; waits for a link, also a new one
  kEndOriginal,       // done: no process of it executes another instruction here
  kContinueHere,      // thaw it, or restart it from the image; as the given incarnation
  // At the target.
  kPreCheck,     // everything that could fail: CPU, memory, disk, paths, user, newer incarnation
  kRestoreHeld,  // done: image verified and durable, job restored, none of its code has run
  kRelease,      // let it run, restart it first if it is gone; as the given incarnation
  kDiscard,      // kill the copy, held or running
  // At both.
  kDropImage,
};

enum class Timer : std::uint8_t {
  kRetry,     // short, again and again: ask or tell once more, try once more what has failed
  kPatience,  // how long a hand-over may take before the commit
  kLease,     // since the last word of the source
};
// Which timers shall run in a state. A timer starts when it becomes wanted, and again when it has
// fired and is still wanted; kLease also with each message of the source.
struct Timers {
  bool retry = false;
  bool patience = false;
  bool lease = false;
};

enum class Resolution : std::uint8_t {
  kKeep,  // at the source: the job goes on here
  kTake,  // at the target: it goes on here
  kDrop,  // at the target: it is the source's
};

struct Received {
  Message message;
};
struct StepDone {
  Step step;
};
struct StepFailed {
  Step step;
  std::string reason;
};
struct RecordDurable {};
struct RecordFailed {};
struct LinkLost {};
struct LinkBack {};
struct TimerFired {
  Timer timer;
};
struct Cancel {};  // by the job's user
struct Resolve {
  Resolution resolution;
};
using Event = std::variant<Received, StepDone, StepFailed, RecordDurable, RecordFailed, LinkLost,
                           LinkBack, TimerFired, Cancel, Resolve>;

struct Send {
  Message message;
};
struct Write {
  Record record;
};
struct Do {
  Step step;
  // ContinueHere, Release: at least this, in the job's incarnation. EndOriginal: of the life that
  // goes on at the target.
  std::uint64_t counter = 0;
};
// To whoever sent Cancel or Resolve.
struct Answer {
  bool done = false;
  std::string text;
};
// Where the job now is, for whoever waits for it: the machine may still have to tell its peer.
struct Concluded {
  bool here = false;
  std::string reason;  // why it did not move; empty if it did
};
using Action = std::variant<Send, Write, Do, Answer, Concluded>;
using Actions = std::vector<Action>;

std::string_view name(Message::Kind kind);
std::string_view name(Record::Phase phase);
std::string_view name(Step step);

}  // namespace ck::driver::handover
