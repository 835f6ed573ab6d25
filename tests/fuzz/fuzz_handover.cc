// Fuzzes the hand-over: messages of a peer, damaged or meant ill, are refused or understood; and
// whatever a machine is told in whatever order, it never lets a copy run that may not run.
#include <stdlib.h>

#include <cstdint>
#include <string>

#include "driver/handover/source.h"
#include "driver/handover/target.h"
#include "driver/handover/wire.h"

namespace {

using namespace ck::driver::handover;

// Numbers below a limit, from the input; 0 at its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  unsigned below(unsigned limit) {
    if (size_ == 0) return 0;
    --size_;
    return *data_++ % limit;
  }
  std::string rest() {
    std::string bytes(reinterpret_cast<const char*>(data_), size_);
    size_ = 0;
    return bytes;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

void require(bool condition) {
  if (!condition) ::abort();
}

void read_message(const std::string& bytes) {
  wire::Message message;
  if (!message.ParseFromString(bytes) || !check(message).ok()) return;
  const Message heard = from_wire(message);
  Terms terms{message.id(), "job", {1, "a", 1, 1}, false};
  if (message.has_offer()) terms = terms_of(message);
  const Message again = from_wire(to_wire(terms, heard));
  require(again == heard);
}

Event next_event(Input& input) {
  switch (input.below(8)) {
    case 0:
    case 1:
      return Received{{.kind = static_cast<Message::Kind>(
                           input.below(static_cast<unsigned>(Message::Kind::kUnknown) + 1)),
                       .counter = input.below(12),
                       .settled = input.below(2) != 0}};
    case 2:
      return StepDone{static_cast<Step>(input.below(static_cast<unsigned>(Step::kDropImage) + 1))};
    case 3:
      return StepFailed{static_cast<Step>(input.below(static_cast<unsigned>(Step::kDropImage) + 1)),
                        "failed"};
    case 4:
      return RecordDurable{};
    case 5:
      return RecordFailed{};
    case 6:
      return TimerFired{static_cast<Timer>(input.below(3))};
    default:
      break;
  }
  switch (input.below(5)) {
    case 0:
      return LinkLost{};
    case 1:
      return LinkBack{};
    case 2:
      return Cancel{};
    default:
      return Resolve{static_cast<Resolution>(input.below(3))};
  }
}

bool hears(const Event& event, Message::Kind kind) {
  const Received* received = std::get_if<Received>(&event);
  return received != nullptr && received->message.kind == kind;
}

// What must have happened before a copy runs at the target, or again at the source.
class Leave {
 public:
  explicit Leave(const Record* record) {
    if (record == nullptr) return;
    given_ = record->phase == Record::Phase::kTaken;
    ended_ = record->phase == Record::Phase::kGiven;
  }
  void note(const Event& event) {
    const Resolve* resolve = std::get_if<Resolve>(&event);
    const TimerFired* timer = std::get_if<TimerFired>(&event);
    given_ |= hears(event, Message::Kind::kGiven);
    given_ |= resolve != nullptr && resolve->resolution == Resolution::kTake;
    given_ |= timer != nullptr && timer->timer == Timer::kLease;
    kept_ |= hears(event, Message::Kind::kRefused);
    kept_ |= resolve != nullptr && resolve->resolution == Resolution::kKeep;
  }
  void check(const Actions& actions) {
    for (const Action& action : actions) {
      const Do* what = std::get_if<Do>(&action);
      if (what == nullptr) continue;
      if (what->step == Step::kRelease) require(given_);
      if (what->step == Step::kEndOriginal) ended_ = true;
      if (what->step == Step::kContinueHere) require(!ended_ || kept_);
    }
  }

 private:
  bool given_ = false;
  bool ended_ = false;
  bool kept_ = false;
};

template <typename Machine>
void run(Machine machine, const Record* record, Input& input) {
  Leave leave(record);
  leave.check(machine.start());
  while (!input.empty()) {
    const Event event = next_event(input);
    leave.note(event);
    leave.check(machine.handle(event));
    (void)machine.timers();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const unsigned what = input.below(5);
  if (what == 0) {
    read_message(input.rest());
    return 0;
  }
  const Terms terms{"id", "job", {7, "a", 1, 1}, input.below(2) != 0};
  if (what == 1) {
    run(Source(terms), nullptr, input);
  } else if (what == 2) {
    run(Target(terms), nullptr, input);
  } else {
    const unsigned first = what == 3 ? 0 : static_cast<unsigned>(Record::Phase::kAccepted);
    const unsigned count = what == 3
                               ? first + static_cast<unsigned>(Record::Phase::kKeptDone) + 1
                               : static_cast<unsigned>(Record::Phase::kGivenUpDone) - first + 1;
    const Record record{static_cast<Record::Phase>(first + input.below(count)), 7 + input.below(4),
                        input.below(2) != 0, input.below(2) != 0};
    if (what == 3) {
      run(Source(terms, record), &record, input);
    } else {
      run(Target(terms, record), &record, input);
    }
  }
  return 0;
}
