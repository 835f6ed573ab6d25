// A whole hand-over with both journals on disk, by a process that is killed before and after each
// thing that it does. What is started after it must find in the journals how to go on.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <deque>

#include "driver/handover/source.h"
#include "driver/handover/target.h"
#include "driver/journal/journal.h"
#include "tests/unit/temporary_folder.h"

namespace {

using namespace ck;
using namespace ck::driver::handover;
using ck::driver::journal::Entry;
using ck::driver::journal::Instant;
using ck::driver::journal::Journal;
using ck::test::TemporaryFolder;

const Terms kTerms{"0123456789abcdef0123456789abcdef", "job-1", {7, "a", 100, 1}, false};

// What a host's engine holds, as files: it outlives the daemon.
class Engine {
 public:
  explicit Engine(std::string prefix) : prefix_(std::move(prefix)) {}
  bool has(const std::string& what) const { return std::filesystem::exists(prefix_ + what); }
  void set(const std::string& what) const { std::ofstream(prefix_ + what) << "x"; }
  void clear(const std::string& what) const { std::filesystem::remove(prefix_ + what); }

 private:
  std::string prefix_;
};

// Both daemons in one process; dies at the given count of things done.
class Hosts {
 public:
  Hosts(const TemporaryFolder& folder, int dies_at) : folder_(folder), dies_at_(dies_at) {
    source_journal_ = open("source.sqlite");
    target_journal_ = open("target.sqlite");
  }

  // False: something failed that never should.
  bool run() {
    if (!take_up()) return false;
    for (int round = 0; round < 10; ++round) {
      while (!events_.empty()) {
        auto [to_source, event] = std::move(events_.front());
        events_.pop_front();
        tell(to_source, event);
      }
      if (over()) return true;
      for (const bool at_source : {true, false}) {
        events_.emplace_back(at_source, TimerFired{Timer::kRetry});
        if (round > 5) events_.emplace_back(at_source, TimerFired{Timer::kPatience});
      }
    }
    return false;
  }

 private:
  std::unique_ptr<Journal> open(const std::string& name) {
    auto journal = Journal::open(folder_.file(name));
    return journal.ok() ? std::move(*journal) : nullptr;
  }

  bool take_up() {
    if (!source_journal_ || !target_journal_) return false;
    const auto there = target_journal_->find(kTerms.id);
    const auto here = source_journal_->find(kTerms.id);
    if (!there.ok() || !here.ok()) return false;
    if (*there) target_.emplace((*there)->terms, (*there)->record);
    if (*here) {
      source_.emplace((*here)->terms, (*here)->record);
    } else if (!*there) {  // else the job just runs on
      source_.emplace(kTerms);
    }
    if (source_) carry_out(true, source_->start());
    if (target_) carry_out(false, target_->start());
    for (const bool at_source : {true, false}) events_.emplace_back(at_source, LinkBack{});
    return true;
  }

  bool over() const { return (!source_ || source_->over()) && (!target_ || target_->over()); }

  void tell(bool to_source, const Event& event) {
    const Received* received = std::get_if<Received>(&event);
    if (to_source && source_) return carry_out(true, source_->handle(event));
    if (!to_source && target_) return carry_out(false, target_->handle(event));
    if (received == nullptr || received->message.kind == Message::Kind::kUnknown) return;
    if (!to_source && received->message.kind == Message::Kind::kOffer) {
      target_.emplace(kTerms);
      return carry_out(false, target_->start());
    }
    events_.emplace_back(!to_source, Received{to_source ? Source::unknown() : Target::unknown()});
  }

  void may_die() {
    if (done_++ == dies_at_) ::raise(SIGKILL);
  }

  void carry_out(bool at_source, const Actions& actions) {
    Journal& journal = at_source ? *source_journal_ : *target_journal_;
    for (const Action& action : actions) {
      may_die();
      if (const Send* send = std::get_if<Send>(&action)) {
        events_.emplace_back(!at_source, Received{send->message});
      } else if (const Write* write = std::get_if<Write>(&action)) {
        const Status status = journal.write(kTerms, write->record, {at_source ? "b" : "a", "ann"},
                                            "", Instant(std::chrono::milliseconds(done_)));
        events_.emplace_back(at_source,
                             status.ok() ? Event(RecordDurable{}) : Event(RecordFailed{}));
      } else if (const Do* what = std::get_if<Do>(&action)) {
        const bool done = perform(what->step, at_source ? source_engine_ : target_engine_);
        events_.emplace_back(at_source, done ? Event(StepDone{what->step})
                                             : Event(StepFailed{what->step, "not possible"}));
      }
      may_die();
    }
  }

  bool perform(Step step, const Engine& engine) {
    switch (step) {
      case Step::kFreezeAndCapture:
        engine.set("held");
        engine.clear("running");
        may_die();
        engine.set("image");
        return true;
      case Step::kSendImage:
        target_engine_.set("image");
        return true;
      case Step::kRestoreHeld:
        if (engine.has("image")) engine.set("held");
        return engine.has("image");
      case Step::kEndOriginal:
      case Step::kDiscard:
        engine.clear("held");
        engine.clear("running");
        return true;
      case Step::kContinueHere:
      case Step::kRelease:
        if (!engine.has("running") && !engine.has("held") && !engine.has("image")) return false;
        engine.set("running");
        engine.clear("held");
        return true;
      case Step::kDropImage:
        engine.clear("image");
        return true;
      case Step::kCopyRunning:
      case Step::kPreCheck:
        return true;
    }
    return false;
  }

  const TemporaryFolder& folder_;
  const int dies_at_;
  int done_ = 0;
  Engine source_engine_{folder_.file("source.")};
  Engine target_engine_{folder_.file("target.")};
  std::unique_ptr<Journal> source_journal_, target_journal_;
  std::optional<Source> source_;
  std::optional<Target> target_;
  std::deque<std::pair<bool, Event>> events_;  // for the source?
};

// The child's wait status.
int run_once(const TemporaryFolder& folder, int dies_at) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(Hosts(folder, dies_at).run() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

void expect_one_copy(const TemporaryFolder& folder, int dies_at) {
  const Engine source(folder.file("source."));
  const Engine target(folder.file("target."));
  BOOST_TEST_CONTEXT("killed at " << dies_at) {
    BOOST_TEST(source.has("running") != target.has("running"));
    BOOST_TEST(!source.has("held"));
    BOOST_TEST(!target.has("held"));
    BOOST_TEST(!(target.has("running") && source.has("image")));
    for (const char* name : {"source.sqlite", "target.sqlite"}) {
      const auto journal = Journal::open(folder.file(name));
      BOOST_REQUIRE(journal.ok());
      BOOST_TEST((*journal)->unfinished()->empty());
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(journal_handover)

BOOST_AUTO_TEST_CASE(a_daemon_that_is_killed_at_every_step) {
  int there = 0, here = 0;
  for (int dies_at = 0;; ++dies_at) {
    BOOST_REQUIRE(dies_at < 200);
    const TemporaryFolder folder;
    Engine(folder.file("source.")).set("running");
    const int status = run_once(folder, dies_at);
    if (WIFSIGNALED(status)) {
      BOOST_TEST(WTERMSIG(status) == SIGKILL);
      // And once more, in what the daemon that is started again does.
      if (dies_at % 3 == 0) run_once(folder, dies_at / 3);
      BOOST_TEST(run_once(folder, -1) == 0);
    } else {
      BOOST_TEST(status == 0);
    }
    expect_one_copy(folder, dies_at);
    (Engine(folder.file("target.")).has("running") ? there : here) += 1;
    if (!WIFSIGNALED(status)) break;
  }
  BOOST_TEST(here > 10);   // before the commit
  BOOST_TEST(there > 10);  // after it
}

BOOST_AUTO_TEST_SUITE_END()
