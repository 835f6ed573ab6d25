// Never two running copies, never none: every way that a hand-over can go with a few faults in it.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <set>

#include "tests/unit/handover_world.h"

namespace {

using namespace ck::test;
using namespace ck::driver::handover;

Setting setting(bool lease, int faults, int admin_words = 0) {
  Setting setting;
  setting.source_terms.lease = setting.target_terms.lease = lease;
  setting.faults = faults;
  setting.admin_words = admin_words;
  return setting;
}

constexpr std::size_t kLimit = 20'000'000;

// CKRUN_TEST_DEPTH=N: N faults more, and N words of administrators more where there is one.
int more_depth() {
  const char* text = std::getenv("CKRUN_TEST_DEPTH");
  return text != nullptr ? std::max(std::atoi(text), 0) : 0;
}

void expect_safe(Setting setting) {
  setting.faults += more_depth();
  if (setting.admin_words > 0) setting.admin_words += more_depth();
  const Exploration found = explore(setting, kLimit);
  BOOST_TEST_MESSAGE(found.worlds << " worlds");
  BOOST_TEST(found.violation == "");
  BOOST_TEST(found.complete);
}

// That the explorer sees what is wrong with a machine that was broken on purpose.
void expect_found(const Setting& setting, const std::string& violation) {
  const Exploration found = explore(setting, kLimit);
  BOOST_TEST_MESSAGE(found.violation);
  BOOST_TEST(found.violation.starts_with(violation), found.violation);
}

bool writes(const Action& action, Record::Phase phase) {
  const Write* write = std::get_if<Write>(&action);
  return write != nullptr && write->record.phase == phase;
}

bool wants(const Action& action, Step step) {
  const Do* what = std::get_if<Do>(&action);
  return what != nullptr && what->step == step;
}

bool says(const Action& action, Message::Kind kind) {
  const Send* send = std::get_if<Send>(&action);
  return send != nullptr && send->message.kind == kind;
}

template <typename Test>
bool any(const Actions& actions, Test test) {
  return std::any_of(actions.begin(), actions.end(), test);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(handover_explore)

BOOST_AUTO_TEST_CASE(nothing_goes_wrong) {
  expect_safe(setting(false, 0));
  expect_safe(setting(true, 0));
}

BOOST_AUTO_TEST_CASE(faults) {
  expect_safe(setting(false, 1));
}
BOOST_AUTO_TEST_CASE(faults_with_a_lease) {
  expect_safe(setting(true, 1));
}
BOOST_AUTO_TEST_CASE(administrators) {
  expect_safe(setting(false, 0, 1));
}
BOOST_AUTO_TEST_CASE(administrators_with_a_lease) {
  expect_safe(setting(true, 0, 1));
}

// Broken on purpose.

BOOST_AUTO_TEST_CASE(a_target_that_releases_when_it_is_ready) {
  Setting broken = setting(false, 1);
  broken.break_target = [](Actions& actions) {
    if (any(actions, [](const Action& one) { return says(one, Message::Kind::kReady); }))
      actions.emplace_back(Do{Step::kRelease, 8});
  };
  expect_found(broken, "two copies run");
}

BOOST_AUTO_TEST_CASE(a_source_that_says_given_before_it_is_durable) {
  Setting broken = setting(false, 1);
  broken.break_source = [](Actions& actions) {
    if (any(actions, [](const Action& one) { return writes(one, Record::Phase::kGiven); }))
      actions.emplace_back(Send{{.kind = Message::Kind::kGiven}});
  };
  expect_found(broken, "two copies run");
}

BOOST_AUTO_TEST_CASE(a_journal_that_loses_the_commit) {
  Setting broken = setting(false, 1);
  broken.lies = [](const Record& record) { return record.phase == Record::Phase::kGiven; };
  expect_found(broken, "two copies run");
}

BOOST_AUTO_TEST_CASE(a_journal_that_loses_the_pause) {
  Setting broken = setting(false, 1);
  broken.lies = [](const Record& record) { return record.phase == Record::Phase::kPausing; };
  expect_found(broken, "0 copies run at the end");
}

BOOST_AUTO_TEST_CASE(a_journal_that_loses_what_was_given_up) {
  Setting broken = setting(true, 2);
  broken.lies = [](const Record& record) { return record.phase == Record::Phase::kGivenUp; };
  expect_found(broken, "two copies run");
}

BOOST_AUTO_TEST_CASE(a_source_that_keeps_the_job_in_spite_of_the_lease) {
  Setting broken = setting(true, 0);
  broken.source_terms.lease = false;
  expect_found(broken, "two copies run");
}

BOOST_AUTO_TEST_CASE(a_source_that_drops_its_image_at_the_commit) {
  Setting broken = setting(false, 1);
  broken.break_source = [](Actions& actions) {
    if (any(actions, [](const Action& one) { return wants(one, Step::kEndOriginal); }))
      actions.emplace_back(Do{Step::kDropImage});
  };
  expect_found(broken, "the job is lost");  // the target cannot release it, and gives it back
}

BOOST_AUTO_TEST_CASE(a_target_that_drops_its_image_when_it_is_ready) {
  Setting broken = setting(false, 0);
  broken.break_target = [](Actions& actions) {
    if (any(actions, [](const Action& one) { return says(one, Message::Kind::kReady); }))
      actions.emplace_back(Do{Step::kDropImage});
  };
  expect_found(broken, "in doubt without an image");
}

BOOST_AUTO_TEST_CASE(a_target_that_says_taken_before_it_runs) {
  Setting broken = setting(false, 1);
  broken.break_target = [](Actions& actions) {
    if (any(actions, [](const Action& one) { return wants(one, Step::kRelease); }))
      actions.emplace_back(Send{{.kind = Message::Kind::kTaken, .counter = 8}});
  };
  BOOST_TEST(explore(broken, kLimit).violation != "");
}

BOOST_AUTO_TEST_CASE(a_target_that_refuses_before_its_copy_is_dead) {
  Setting broken = setting(false, 2);
  broken.break_target = [](Actions& actions) {
    if (any(actions, [](const Action& one) { return wants(one, Step::kDiscard); }))
      actions.emplace_back(Send{{.kind = Message::Kind::kRefused}});
    std::erase_if(actions, [](const Action& one) { return wants(one, Step::kDiscard); });
  };
  BOOST_TEST(explore(broken, kLimit).violation != "");
}

BOOST_AUTO_TEST_CASE(a_source_that_never_says_withdrawn) {
  Setting broken = setting(false, 0);
  broken.break_source = [](Actions& actions) {
    std::erase_if(actions, [](const Action& one) { return says(one, Message::Kind::kWithdrawn); });
  };
  expect_found(broken, "it goes on and on");
}

// Every state has an answer to every event.

namespace {

std::vector<Event> every_event() {
  std::vector<Event> all{RecordDurable{},
                         RecordFailed{},
                         LinkLost{},
                         LinkBack{},
                         TimerFired{Timer::kRetry},
                         TimerFired{Timer::kPatience},
                         TimerFired{Timer::kLease},
                         Cancel{}};
  for (int kind = 0; kind <= static_cast<int>(Message::Kind::kUnknown); ++kind) {
    for (const std::uint64_t counter : {0, 7, 8, 9, 10, 11}) {
      for (const bool settled : {false, true}) {
        all.emplace_back(Received{{static_cast<Message::Kind>(kind), counter, settled, "x"}});
      }
    }
  }
  for (int step = 0; step <= static_cast<int>(Step::kDropImage); ++step) {
    all.emplace_back(StepDone{static_cast<Step>(step)});
    all.emplace_back(StepFailed{static_cast<Step>(step), "x"});
  }
  for (const Resolution one : {Resolution::kKeep, Resolution::kTake, Resolution::kDrop}) {
    all.emplace_back(Resolve{one});
  }
  return all;
}

bool is_message(const Event& event, Message::Kind kind) {
  const Received* received = std::get_if<Received>(&event);
  return received != nullptr && received->message.kind == kind;
}

// What holds of any answer, whoever gives it.
template <typename Machine>
void check_answer(const Machine& before, const Event& event, std::set<std::string>& wrong) {
  Machine machine = before;
  const Actions actions = machine.handle(event);
  const std::string where = "phase " + std::to_string(static_cast<int>(before.state().phase)) +
                            ", event " + std::to_string(event.index());
  int answers = 0, releases = 0;
  for (const Action& action : actions) {
    answers += std::holds_alternative<Answer>(action);
    releases += wants(action, Step::kRelease) || wants(action, Step::kContinueHere);
    const Write* write = std::get_if<Write>(&action);
    if (write != nullptr && is_source(write->record.phase) != std::is_same_v<Machine, Source>)
      wrong.insert(where + ": writes a record of the other side");
  }
  const bool asked =
      std::holds_alternative<Cancel>(event) || std::holds_alternative<Resolve>(event);
  if (answers != (asked ? 1 : 0)) wrong.insert(where + ": answers " + std::to_string(answers));
  if (releases > 0 && std::holds_alternative<Received>(event) &&
      !is_message(event, Message::Kind::kGiven))
    wrong.insert(where + ": a message alone lets a copy run");
  const auto& state = machine.state();
  const bool busy = state.writes > 0 || state.steps > 0;
  const Timers timers = machine.timers();
  if (!machine.over() && !busy && !timers.retry && !timers.patience)
    wrong.insert(where + ": nothing will ever happen");
  if constexpr (std::is_same_v<Machine, Source>) {
    const bool spoke =
        any(actions, [](const Action& one) { return std::holds_alternative<Send>(one); });
    if (is_message(event, Message::Kind::kAsk) && !spoke)
      wrong.insert(where + ": Ask is not heard");
  } else {
    const bool spoke =
        any(actions, [](const Action& one) { return std::holds_alternative<Send>(one); });
    if (is_message(event, Message::Kind::kGiven) && !spoke && !busy && !timers.retry &&
        !std::get<Received>(event).message.settled)
      wrong.insert(where + ": Given is not heard");
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_state_has_an_answer_to_every_event) {
  std::set<std::string> wrong, seen;
  std::set<int> source_phases, target_phases;
  const std::vector<Event> all = every_event();
  const auto look = [&](const World& world) {
    World source, target;  // of the states of each machine by itself, one
    source.source.machine = world.source.machine;
    target.target.machine = world.target.machine;
    if (world.source.machine && seen.insert("s" + source.key(false)).second) {
      source_phases.insert(static_cast<int>(world.source.machine->state().phase));
      for (const Event& event : all) check_answer(*world.source.machine, event, wrong);
    }
    if (world.target.machine && seen.insert("t" + target.key(false)).second) {
      target_phases.insert(static_cast<int>(world.target.machine->state().phase));
      for (const Event& event : all) check_answer(*world.target.machine, event, wrong);
    }
  };
  for (const bool lease : {false, true}) {
    explore(setting(lease, 1), kLimit, look);
    explore(setting(lease, 0, 1), kLimit, look);
  }
  for (const std::string& line : wrong) BOOST_TEST_MESSAGE(line);
  BOOST_TEST(wrong.empty());
  BOOST_TEST(source_phases.size() == static_cast<std::size_t>(Source::Phase::kStopped) + 1);
  BOOST_TEST(target_phases.size() == static_cast<std::size_t>(Target::Phase::kGivenUpDone) + 1);
}

BOOST_AUTO_TEST_SUITE_END()
