#include "tests/unit/handover_world.h"

#include <deque>
#include <unordered_map>
#include <unordered_set>

namespace ck::test {

using namespace driver::handover;
using Kind = Message::Kind;

namespace {

constexpr std::uint64_t kOffered = 7;  // counter of the copy that is offered

// --- what a host's own doings change

// Whether a step can be over now; one that needs the link waits for it.
bool can_end(const World& world, Step step) {
  return (step != Step::kCopyRunning && step != Step::kSendImage) ||
         (world.link && world.source.up && world.target.up);
}

bool target_receives(const World& world) {
  return world.target.machine && world.target.machine->state().phase == Target::Phase::kReceiving;
}

// Takes a job's life on; false if it cannot.
template <typename Machine>
bool run(Host<Machine>& host, std::uint64_t counter) {
  if (host.life == Life::kGone && host.image != Image::kWhole) return false;
  if (host.life != Life::kRunning) host.counter = counter;
  host.life = Life::kRunning;
  return true;
}

// The step's effect in full. False: it fails.
bool perform(World& world, bool at_source, const Do& what) {
  switch (what.step) {
    case Step::kCopyRunning:
      return target_receives(world);
    case Step::kFreezeAndCapture:
      if (world.source.life == Life::kGone) return false;
      world.source.life = Life::kHeld;
      world.source.image = Image::kWhole;
      return true;
    case Step::kSendImage:
      if (!world.target.machine || world.target.machine->over()) return false;
      if (target_receives(world)) world.target.image = Image::kWhole;
      return true;
    case Step::kEndOriginal:
      world.source.life = Life::kGone;
      return true;
    case Step::kContinueHere:
      return run(world.source, what.counter);
    case Step::kPreCheck:
      return true;
    case Step::kRestoreHeld:
      if (world.target.image != Image::kWhole) return false;
      if (world.target.life == Life::kGone) world.target.life = Life::kHeld;
      return true;
    case Step::kRelease:
      return run(world.target, what.counter);
    case Step::kDiscard:
      world.target.life = Life::kGone;
      return true;
    case Step::kDropImage:
      (at_source ? world.source.image : world.target.image) = Image::kNone;
      return true;
  }
  return false;
}

// What a step leaves behind that failed or was cut short. False: nothing but what was.
bool perform_half(World& world, Step step) {
  if (step == Step::kFreezeAndCapture && world.source.life == Life::kRunning) {
    world.source.life = Life::kHeld;
    return true;
  }
  if (step == Step::kSendImage && target_receives(world) && world.target.image == Image::kNone) {
    world.target.image = Image::kPart;
    return true;
  }
  return false;
}

// --- machines and what they want

template <typename Machine>
void carry_out(const Setting& setting, World& world, Host<Machine>& host, Actions actions) {
  constexpr bool kAtSource = std::is_same_v<Machine, Source>;
  const auto& broken = kAtSource ? setting.break_source : setting.break_target;
  if (broken) broken(actions);
  for (Action& action : actions) {
    if (const Send* send = std::get_if<Send>(&action); send != nullptr && world.link) {
      Message message = send->message;
      message.reason.clear();
      if constexpr (kAtSource) {
        world.target.inbox.push_back(message);
      } else {
        world.source.inbox.push_back(message);
      }
    }
    if (const Write* write = std::get_if<Write>(&action)) host.writes.push_back(write->record);
    if (const Do* what = std::get_if<Do>(&action)) host.steps.push_back(*what);
  }
}

template <typename Machine>
void tell(const Setting& setting, World& world, Host<Machine>& host, const Event& event) {
  if (host.machine) carry_out(setting, world, host, host.machine->handle(event));
}

template <typename Machine>
void bring_up(const Setting& setting, World& world, Host<Machine>& host, const Terms& terms) {
  host.up = true;
  if (!host.journal) return;
  host.machine.emplace(terms, *host.journal);
  carry_out(setting, world, host, host.machine->start());
}

void receive(const Setting& setting, World& world, Host<Source>& host) {
  const Message message = host.inbox.front();
  host.inbox.erase(host.inbox.begin());
  if (host.machine) return tell(setting, world, host, Received{message});
  if (message.kind != Kind::kUnknown) world.target.inbox.push_back(Source::unknown());
}

void receive(const Setting& setting, World& world, Host<Target>& host) {
  const Message message = host.inbox.front();
  host.inbox.erase(host.inbox.begin());
  if (host.machine) return tell(setting, world, host, Received{message});
  if (message.kind == Kind::kOffer) {
    host.machine.emplace(setting.target_terms);
    carry_out(setting, world, host, host.machine->start());
  } else if (message.kind != Kind::kUnknown) {
    world.source.inbox.push_back(Target::unknown());
  }
}

void lose_link(const Setting& setting, World& world) {
  world.link = false;
  world.source.inbox.clear();
  world.target.inbox.clear();
  tell(setting, world, world.source, LinkLost{});
  tell(setting, world, world.target, LinkLost{});
}

void bring_link(const Setting& setting, World& world) {
  world.link = true;
  tell(setting, world, world.source, LinkBack{});
  tell(setting, world, world.target, LinkBack{});
}

template <typename Machine>
void finish_write(const Setting& setting, World& world, Host<Machine>& host, bool durable,
                  bool said) {
  const Record record = host.writes.front();
  host.writes.erase(host.writes.begin());
  if (durable && !(setting.lies && setting.lies(record))) host.journal = record;
  tell(setting, world, host, said ? Event(RecordDurable{}) : Event(RecordFailed{}));
}

template <typename Machine>
void finish_step(const Setting& setting, World& world, Host<Machine>& host) {
  const Do what = host.steps.front();
  host.steps.erase(host.steps.begin());
  const bool done = perform(world, std::is_same_v<Machine, Source>, what);
  tell(setting, world, host, done ? Event(StepDone{what.step}) : Event(StepFailed{what.step, "x"}));
}

template <typename Machine>
void fail_step(const Setting& setting, World& world, Host<Machine>& host) {
  const Step step = host.steps.front().step;
  host.steps.erase(host.steps.begin());
  tell(setting, world, host, StepFailed{step, "x"});
}

bool quiet(const World& world) {
  const auto idle = [&](const auto& host) {
    return host.inbox.empty() && host.writes.empty() && host.steps.empty();
  };
  return idle(world.source) && idle(world.target);
}

// --- what can happen next

// One host's ways on, and its faults.
template <typename Machine>
class HostSteps {
 public:
  HostSteps(const Setting& setting, const World& world, Host<Machine> World::*host,
            const Next& next)
      : setting_(setting), world_(world), host_(host), next_(next) {}

  void all() {
    if (!here().up) {
      World after = world_;
      bring_up(setting_, after, after.*host_, terms());
      return emit(std::move(after), "daemon starts again");
    }
    if (!here().inbox.empty()) on_message();
    if (!here().writes.empty()) on_write();
    if (!here().steps.empty()) on_step();
    if (here().machine) on_timers();
    if (here().machine && world_.admin_words > 0) on_admin();
    if (world_.faults > 0) on_crash();
  }

 private:
  static constexpr bool kAtSource = std::is_same_v<Machine, Source>;

  const Host<Machine>& here() const { return world_.*host_; }
  const Terms& terms() const { return kAtSource ? setting_.source_terms : setting_.target_terms; }
  void emit(World after, const std::string& what) {
    next_(std::move(after), (kAtSource ? "source: " : "target: ") + what);
  }
  void emit_fault(World after, const std::string& what) {
    --after.faults;
    emit(std::move(after), what);
  }

  void on_message() {
    const std::string what(name(here().inbox.front().kind));
    World after = world_;
    receive(setting_, after, after.*host_);
    emit(std::move(after), "hears " + what);
    if (world_.faults == 0) return;
    World lost = world_;
    (lost.*host_).inbox.erase((lost.*host_).inbox.begin());
    emit_fault(std::move(lost), "does not hear " + what);
  }

  void on_write() {
    const std::string what(name(here().writes.front().phase));
    World after = world_;
    finish_write(setting_, after, after.*host_, true, true);
    emit(std::move(after), what + " is durable");
    if (world_.faults == 0) return;
    for (const bool durable : {false, true}) {
      World failed = world_;
      finish_write(setting_, failed, failed.*host_, durable, false);
      emit_fault(std::move(failed), what + " fails" + (durable ? ", but is durable" : ""));
    }
  }

  void on_step() {
    const Do what = here().steps.front();
    const std::string step(name(what.step));
    if (can_end(world_, what.step)) {
      World after = world_;
      finish_step(setting_, after, after.*host_);
      emit(std::move(after), step + " ends");
    }
    const bool superseded = here().steps.size() > 1;
    if (!superseded && world_.faults == 0) return;
    World failed = world_;
    if (!superseded) --failed.faults;
    World half = failed;
    fail_step(setting_, failed, failed.*host_);
    emit(std::move(failed), step + (superseded ? " is left" : " fails"));
    if (!perform_half(half, what.step)) return;
    fail_step(setting_, half, half.*host_);
    emit(std::move(half), step + " fails midway");
  }

  void fire(Timer timer, const std::string& what) {
    World after = world_;
    tell(setting_, after, after.*host_, TimerFired{timer});
    emit(std::move(after), what);
  }

  void on_timers() {
    const Timers wanted = here().machine->timers();
    if (wanted.patience) fire(Timer::kPatience, "patience is over");
    if (wanted.lease) fire(Timer::kLease, "lease is over");
    const bool failed = here().machine->state().failed;
    // Else it would only add messages to those that are on their way.
    if (wanted.retry && (failed || (world_.link && quiet(world_)))) {
      fire(Timer::kRetry, "tries again");
    }
  }

  void on_admin() {
    const auto word = [&](const Event& event, bool forced, const std::string& what) {
      World after = world_;
      tell(setting_, after, after.*host_, event);
      if (after.key(false) == world_.key(false)) return;
      --after.admin_words;
      after.forced |= forced;
      emit(std::move(after), what);
    };
    word(Cancel{}, false, "cancel");
    if (kAtSource) {
      word(Resolve{Resolution::kKeep}, true, "resolve keep");
    } else {
      word(Resolve{Resolution::kTake}, true, "resolve take");
      word(Resolve{Resolution::kDrop}, true, "resolve drop");
    }
  }

  // The daemon is killed, or with it what it holds, or the whole host. What was on its way is done
  // or is not, in order.
  void on_crash() {
    for (std::size_t writes = 0; writes <= here().writes.size(); ++writes) {
      for (std::size_t steps = 0; steps <= here().steps.size(); ++steps) {
        World after = world_;
        Host<Machine>& host = after.*host_;
        for (std::size_t i = 0; i < writes; ++i) {
          if (!(setting_.lies && setting_.lies(host.writes[i]))) host.journal = host.writes[i];
        }
        for (std::size_t i = 0; i < steps; ++i) {
          if (!can_end(after, host.steps[i].step)) break;
          perform(after, kAtSource, host.steps[i]);
        }
        World half = after;
        crash(std::move(after), writes, steps);
        if (steps < here().steps.size() && perform_half(half, here().steps[steps].step)) {
          crash(std::move(half), writes, steps);
        }
      }
    }
    if (held_may_die(here())) {
      World after = world_;
      (after.*host_).life = Life::kGone;
      emit_fault(std::move(after), "what is held dies");
    }
  }

  // Before the capture is done the original goes on if its holder dies.
  bool held_may_die(const Host<Machine>& host) const {
    return host.life == Life::kHeld && (!kAtSource || host.image == Image::kWhole);
  }

  void crash(World after, std::size_t writes, std::size_t steps) {
    Host<Machine>& host = after.*host_;
    host.up = false;
    host.machine.reset();
    host.writes.clear();
    host.steps.clear();
    lose_link(setting_, after);
    const std::string what =
        " after " + std::to_string(writes) + " writes and " + std::to_string(steps) + " steps";
    // A host that goes down while the job just runs there loses it with or without a hand-over.
    const bool loses_only_held = host.life != Life::kRunning ||
                                 (!kAtSource && host.journal && !is_over(host.journal->phase));
    if (loses_only_held && (held_may_die(host) || host.life != Life::kHeld)) {
      World down = after;
      Host<Machine>& lost = down.*host_;
      lost.life = Life::kGone;
      const bool safe =
          kAtSource || (lost.journal && lost.journal->phase != Record::Phase::kAccepted);
      if (!safe && lost.image == Image::kWhole) lost.image = Image::kPart;
      emit_fault(std::move(down), "host goes down" + what);
    }
    emit_fault(std::move(after), "daemon is killed" + what);
  }

  const Setting& setting_;
  const World& world_;
  Host<Machine> World::*host_;
  const Next& next_;
};

// --- keys

void add(std::string& key, const Record& record) {
  key += static_cast<char>(record.phase);
  key += static_cast<char>(record.counter);
  key += static_cast<char>(record.forced | record.was_ready << 1);
}

void add(std::string& key, const Source::State& state) {
  key += static_cast<char>(state.phase);
  key += static_cast<char>(state.counter);
  key += static_cast<char>(state.writes);
  key += static_cast<char>(state.steps);
  key += static_cast<char>(state.failed | state.sealed << 1 | state.given_tried << 2 |
                           state.refused << 3 | state.taken << 4 | state.forced << 5);
}

void add(std::string& key, const Target::State& state) {
  key += static_cast<char>(state.phase);
  key += static_cast<char>(state.counter);
  key += static_cast<char>(state.writes);
  key += static_cast<char>(state.steps);
  key += static_cast<char>(state.failed | state.ready_tried << 1 | state.recorded << 2 |
                           state.given << 3 | state.confirmed << 4 | state.forced << 5 |
                           state.source_forgot << 6);
}

template <typename Machine>
void add(std::string& key, const Host<Machine>& host) {
  key += static_cast<char>(host.up | host.machine.has_value() << 1 | host.journal.has_value() << 2);
  key += static_cast<char>(static_cast<int>(host.life) << 4 | static_cast<int>(host.image));
  key += static_cast<char>(host.counter);
  if (host.machine) add(key, host.machine->state());
  if (host.journal) add(key, *host.journal);
  key += static_cast<char>(host.writes.size());
  for (const Record& record : host.writes) add(key, record);
  key += static_cast<char>(host.steps.size());
  for (const Do& what : host.steps) {
    key += static_cast<char>(what.step);
    key += static_cast<char>(what.counter);
  }
  key += static_cast<char>(host.inbox.size());
  for (const Message& message : host.inbox) {
    key += static_cast<char>(static_cast<int>(message.kind) | message.settled << 6);
    key += static_cast<char>(message.counter);
  }
}

template <typename Machine>
std::string text(const Host<Machine>& host) {
  std::string line = host.up ? "up" : "down";
  if (host.machine)
    line += ", phase " + std::to_string(static_cast<int>(host.machine->state().phase));
  line += ", journal " + std::string(host.journal ? name(host.journal->phase) : "empty");
  line += ", life " + std::to_string(static_cast<int>(host.life));
  line += ", image " + std::to_string(static_cast<int>(host.image));
  for (const Record& record : host.writes) line += ", writes " + std::string(name(record.phase));
  for (const Do& what : host.steps) line += ", does " + std::string(name(what.step));
  for (const Message& message : host.inbox) line += ", hears " + std::string(name(message.kind));
  return line;
}

template <typename Machine>
bool over(const Host<Machine>& host) {
  const bool recorded = !host.journal || is_over(host.journal->phase);
  return recorded && (!host.machine || host.machine->over());
}

}  // namespace

std::string World::key(bool with_budgets) const {
  std::string key;
  key.reserve(96);
  add(key, source);
  add(key, target);
  key += static_cast<char>(link | forced << 1);
  if (with_budgets) {
    key += static_cast<char>(faults);
    key += static_cast<char>(admin_words);
  }
  return key;
}

std::string World::describe() const {
  return "source " + text(source) + "; target " + text(target) + (link ? "" : "; no link");
}

std::string World::violation() const {
  const bool here = source.life == Life::kRunning;
  const bool there = target.life == Life::kRunning;
  if (here && there && !forced) return "two copies run";
  if (here && there && source.counter == target.counter) return "two copies have the same counter";
  if (there && target.counter <= kOffered) return "the target's counter is not higher";
  if (!here && !there && source.life == Life::kGone && source.image != Image::kWhole &&
      target.image != Image::kWhole) {
    return "the job is lost";
  }
  const bool in_doubt = target.journal && target.journal->phase == Record::Phase::kReady;
  if (in_doubt && target.machine && target.machine->state().phase == Target::Phase::kReady &&
      target.image != Image::kWhole) {
    return "in doubt without an image";
  }
  const bool given = source.journal && source.journal->phase == Record::Phase::kGiven;
  if (given && source.image != Image::kWhole && !there && target.image != Image::kWhole) {
    return "given without an image";
  }
  return {};
}

std::string World::end_violation() const {
  const int running = (source.life == Life::kRunning) + (target.life == Life::kRunning);
  if (running != 1) return std::to_string(running) + " copies run at the end";
  if (source.life == Life::kHeld || target.life == Life::kHeld) return "a copy is held for ever";
  if (!over(source) || !over(target)) return "the hand-over does not come to an end";
  return {};
}

World first_world(const Setting& setting) {
  World world;
  world.faults = setting.faults;
  world.admin_words = setting.admin_words;
  world.source.life = Life::kRunning;
  world.source.counter = kOffered;
  world.source.machine.emplace(setting.source_terms);
  carry_out(setting, world, world.source, world.source.machine->start());
  return world;
}

void for_each_next(const Setting& setting, const World& world, const Next& next) {
  HostSteps<Source>(setting, world, &World::source, next).all();
  HostSteps<Target>(setting, world, &World::target, next).all();
  if (world.link && world.faults > 0) {
    World after = world;
    --after.faults;
    lose_link(setting, after);
    next(std::move(after), "link is cut");
  }
  if (!world.link && world.source.up && world.target.up) {
    World after = world;
    bring_link(setting, after);
    next(std::move(after), "link is back");
  }
}

namespace {

// One fair step without any fault. False: nothing more happens.
bool heal_step(const Setting& setting, World& world) {
  if (!world.source.up) {
    bring_up(setting, world, world.source, setting.source_terms);
    return true;
  }
  if (!world.target.up) {
    bring_up(setting, world, world.target, setting.target_terms);
    return true;
  }
  if (!world.link) {
    bring_link(setting, world);
    return true;
  }
  const auto work = [&](auto& host) {
    if (!host.writes.empty()) {
      finish_write(setting, world, host, true, true);
    } else if (!host.steps.empty()) {
      finish_step(setting, world, host);
    } else if (!host.inbox.empty()) {
      receive(setting, world, host);
    } else {
      return false;
    }
    return true;
  };
  if (work(world.source) || work(world.target)) return true;
  bool any = false;
  const auto fire = [&](auto& host, Timer timer, bool Timers::*wanted) {
    if (!host.machine || !(host.machine->timers().*wanted)) return;
    tell(setting, world, host, TimerFired{timer});
    any = true;
  };
  fire(world.source, Timer::kRetry, &Timers::retry);
  fire(world.target, Timer::kRetry, &Timers::retry);
  if (any) return true;
  fire(world.source, Timer::kPatience, &Timers::patience);
  fire(world.target, Timer::kPatience, &Timers::patience);
  fire(world.target, Timer::kLease, &Timers::lease);
  return any;
}

}  // namespace

std::string heal(const Setting& setting, World world,
                 const std::function<bool(const std::string&)>& good,
                 std::vector<std::string>& keys, std::string* trace) {
  constexpr int kEnough = 200;
  for (int i = 0; i < kEnough; ++i) {
    if (std::string wrong = world.violation(); !wrong.empty()) return wrong;
    std::string key = world.key(false);
    if (good(key)) return {};
    keys.push_back(std::move(key));
    if (trace != nullptr && i < 40) *trace += "\n  healing: " + world.describe();
    if (!heal_step(setting, world)) return world.end_violation();
  }
  return "it goes on and on";
}

Exploration explore(const Setting& setting, std::size_t limit,
                    const std::function<void(const World&)>& look) {
  struct Node {
    std::size_t parent;
    std::string what;
  };
  std::vector<Node> nodes;
  std::deque<World> frontier;
  std::unordered_set<std::string> seen;
  std::unordered_set<std::string> good;
  const auto is_good = [&](const std::string& key) { return good.contains(key); };
  Exploration result;

  const auto way_to = [&](std::size_t node) {
    std::string way;
    while (node != 0) {
      way = "\n  " + nodes[node].what + way;
      node = nodes[node].parent;
    }
    return way;
  };
  const auto visit = [&](World world, std::size_t parent, std::string what) {
    if (!result.violation.empty() || !seen.insert(world.key(true)).second) return;
    nodes.push_back({parent, std::move(what)});
    std::string wrong = world.violation();
    std::string trace;
    if (wrong.empty()) {
      std::vector<std::string> keys;
      wrong = heal(setting, world, is_good, keys);
      if (wrong.empty()) {
        good.insert(keys.begin(), keys.end());
      } else {
        keys.clear();
        heal(setting, world, is_good, keys, &trace);
      }
    }
    if (!wrong.empty()) {
      result.violation = wrong + ":" + way_to(nodes.size() - 1) + "\n  " + world.describe() + trace;
      return;
    }
    if (look) look(world);
    frontier.push_back(std::move(world));
  };

  visit(first_world(setting), 0, "start");
  for (std::size_t node = 0; !frontier.empty() && result.violation.empty(); ++node) {
    if (nodes.size() > limit) {
      result.complete = false;
      break;
    }
    const World world = std::move(frontier.front());
    frontier.pop_front();
    for_each_next(setting, world, [&](World after, std::string what) {
      visit(std::move(after), node, std::move(what));
    });
  }
  result.worlds = nodes.size();
  return result;
}

}  // namespace ck::test
