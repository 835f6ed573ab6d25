// Decisions of load balancing, one rule each.
#include <boost/test/unit_test.hpp>
#include <set>

#include "driver/policy/balance.h"

namespace {

using namespace ck;
using namespace ck::driver;
using std::chrono::seconds;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
const Instant kNow{seconds(100'000)};

HostView host(const std::string& name, double load) {
  return {name, 4, load, 8 * kGiB, 0xff, false, kNow};
}

JobView job(const std::string& id, std::uint64_t memory = kGiB) {
  return {id, "batch", 1, memory, 0x0f, kNow - seconds(3600), false, false};
}

struct Fixture {
  HostView self = host("here", 2.0);
  std::vector<JobView> jobs{job("a"), job("b", 2 * kGiB)};
  std::vector<HostView> peers{host("idle", 0.1), host("busy", 1.4)};
  JobClasses classes{{"batch", JobClass{}}};
  BalanceOptions options;
  unsigned under_way = 0;
  double lately_gone = 0;

  Situation situation(std::uint64_t random = 1) {
    return {self, jobs, peers, classes, kNow, random, under_way, lately_gone};
  }
  std::vector<Decision> decide(std::uint64_t random = 1) {
    return driver::decide(situation(random), options);
  }
  void expect_nothing() { BOOST_TEST(decide().empty()); }
};

BOOST_FIXTURE_TEST_SUITE(policy_balance, Fixture)

BOOST_AUTO_TEST_CASE(the_cheapest_job_goes_to_the_only_fit_host) {
  for (std::uint64_t random = 0; random < 20; ++random) {
    const auto decisions = decide(random);
    BOOST_REQUIRE_EQUAL(decisions.size(), 1u);
    BOOST_TEST((decisions[0].kind == Decision::Kind::kMigrate));
    BOOST_TEST(decisions[0].job == "a");
    BOOST_TEST(decisions[0].target == "idle");
    BOOST_TEST(decisions[0].reason == "load 2.00 here, 0.10 at idle");
  }
}

BOOST_AUTO_TEST_CASE(equal_situations_have_equal_decisions) {
  peers = {host("p", 0.1), host("q", 0.1), host("r", 0.1), host("s", 0.1)};
  BOOST_TEST(decide(7)[0].target == decide(7)[0].target);
  std::set<std::string> chosen;
  for (std::uint64_t random = 0; random < 200; ++random) chosen.insert(decide(random)[0].target);
  BOOST_TEST(chosen.size() == 4u);
}

BOOST_AUTO_TEST_CASE(below_loadcheckpoint_nothing_moves) {
  self.load = 1.49;
  expect_nothing();
}

BOOST_AUTO_TEST_CASE(a_job_stays_for_a_while) {
  for (JobView& one : jobs) one.arrived = kNow - seconds(299);
  expect_nothing();
}

BOOST_AUTO_TEST_CASE(not_where_it_would_hardly_be_better_off) {
  classes["batch"].loadsched = 1.5;
  peers = {host("busy", 1.1)};
  self.load = 1.55;
  expect_nothing();
}

BOOST_AUTO_TEST_CASE(old_views_do_not_count) {
  peers[0].told = kNow - seconds(61);
  expect_nothing();
}

BOOST_AUTO_TEST_CASE(not_without_room_or_features) {
  peers[0].memory_free = kGiB;  // a tenth of it stays free
  expect_nothing();
  peers[0] = host("idle", 0.1);
  peers[0].features = 0x07;
  expect_nothing();
}

BOOST_AUTO_TEST_CASE(pinned_jobs_and_classes_without_checkpoints_stay) {
  for (JobView& one : jobs) one.pinned = true;
  expect_nothing();
  for (JobView& one : jobs) one.pinned = false;
  classes["batch"].checkpointmode = Mode::kNone;
  expect_nothing();
  classes["batch"] = {};
  classes["batch"].restartmode = Mode::kNone;
  expect_nothing();
  classes.clear();
  expect_nothing();
}

BOOST_AUTO_TEST_CASE(a_job_that_does_nothing_stays) {
  for (JobView& one : jobs) one.tasks = 0;
  expect_nothing();
  jobs[1].tasks = 0.2;
  BOOST_TEST(decide()[0].job == "b");
}

BOOST_AUTO_TEST_CASE(it_can_be_said_why_a_job_stays) {
  const auto why = [&] {
    return why_it_stays({self, jobs, peers, classes, kNow, 1, under_way}, jobs[0], options);
  };
  const auto says = [](const std::string& line, const char* what) {
    return line.find(what) != line.npos;
  };
  BOOST_TEST(says(why(), "at_once"));  // it is what would move
  peers.erase(peers.begin());
  BOOST_TEST(why() == "no host takes it: host busy has a load of 1.40, not below 1.00");
  peers = {host("near", 1.1)};
  self.load = 1.5;
  classes["batch"].loadsched = 1.2;
  BOOST_TEST(why() == "no host takes it: host near has a load of 1.10, too little below that here");
  peers.clear();
  BOOST_TEST(why() == "there is no other host");
  jobs[0].arrived = kNow - seconds(7);
  BOOST_TEST(says(why(), "7 s ago, and the minimum stay is 300 s"));
  jobs[0].tasks = 0;
  BOOST_TEST(says(why(), "does not load"));
  self.load = 1.2;
  BOOST_TEST(why() == "load 1.20 here is below loadcheckpoint 1.50 of class batch");
  classes["batch"].checkpointmode = Mode::kNone;
  BOOST_TEST(why() == "its class batch has checkpointmode 0");
  classes.clear();
  BOOST_TEST(why() == "its class batch is not in ckd.toml");
}

BOOST_AUTO_TEST_CASE(it_can_be_said_why_no_host_takes_a_job) {
  peers = {host("old", 0.1), host("drained", 0.1), host("near", 0.9)};
  peers[0].told = kNow - seconds(61);
  peers[1].draining = true;
  classes["batch"].loadsched = 0.5;
  BOOST_TEST(why_no_host(job("x"), peers, classes, kNow) ==
             "no host takes it: host old does not answer; host drained is being drained; "
             "host near has a load of 0.90, not below 0.50");
  for (int i = 0; i < 7; ++i) peers.push_back(peers[0]);
  BOOST_TEST(why_no_host(job("x"), peers, classes, kNow).ends_with("; and 6 more"));
}

BOOST_AUTO_TEST_CASE(moves_at_once_are_limited) {
  options.moves_at_once = 2;
  self.load = 3.5;
  BOOST_TEST(decide().size() == 2u);
  under_way = 1;
  BOOST_TEST(decide().size() == 1u);
  under_way = 2;
  expect_nothing();
}

BOOST_AUTO_TEST_CASE(a_drained_host_gives_all_away_and_takes_none) {
  self.draining = true;
  self.load = 0.2;
  options.moves_at_once = 10;
  jobs[0].pinned = true;
  jobs[1].arrived = kNow;
  peers = {host("p", 0.1)};
  const auto decisions = decide();
  BOOST_REQUIRE_EQUAL(decisions.size(), 2u);
  BOOST_TEST(decisions[0].reason == "host here is drained");
  BOOST_TEST(!accepts(self, job("c"), classes).ok());
}

BOOST_AUTO_TEST_CASE(where_nobody_takes_them_jobs_are_stopped_and_continued) {
  peers.clear();
  self.load = 4.3;
  auto decisions = decide();
  BOOST_REQUIRE_EQUAL(decisions.size(), 2u);  // each is a quarter
  BOOST_TEST((decisions[0].kind == Decision::Kind::kStop));
  self.load = 1.2;
  for (JobView& one : jobs) one.stopped = true;
  expect_nothing();
  self.load = 0.9;
  decisions = decide();
  BOOST_REQUIRE_EQUAL(decisions.size(), 1u);  // with it the load is above loadsched again
  BOOST_TEST((decisions[0].kind == Decision::Kind::kContinue));
}

BOOST_AUTO_TEST_CASE(a_stopped_job_does_not_go_on_because_it_was_stopped) {
  peers.clear();
  self.load = 0.5;
  for (JobView& one : jobs) one.stopped = true;
  lately_gone = 0.6;
  expect_nothing();
  lately_gone = 0.4;
  BOOST_REQUIRE_EQUAL(decide().size(), 1u);
}

BOOST_AUTO_TEST_CASE(what_a_user_has_suspended_is_his) {
  for (JobView& one : jobs) one.suspended = true;
  for (const double load : {0.1, 2.0, 9.0}) {
    self.load = load;
    expect_nothing();
  }
  BOOST_TEST(why_it_stays(situation(), jobs[0]) == "its user has suspended it");
  self.draining = true;
  BOOST_TEST(!decide().empty());
}

BOOST_AUTO_TEST_CASE(what_a_host_would_have_to_give_away_at_once_it_does_not_take) {
  JobView wide = job("wide");
  wide.tasks = 4;
  BOOST_TEST(!accepts(host("h", 0.6), wide, classes).ok());
  BOOST_TEST(accepts(host("h", 0.0), wide, classes).ok());
}

BOOST_AUTO_TEST_CASE(a_new_job_is_placed_or_not) {
  BOOST_TEST(place(job("new"), peers, classes, kNow, 3) == "idle");
  peers.erase(peers.begin());
  BOOST_TEST(place(job("new"), peers, classes, kNow, 3) == "");
}

BOOST_AUTO_TEST_CASE(a_settled_load_counts_moves_that_the_average_does_not_show_yet) {
  BOOST_TEST(settled_load(8, 4, {}, kNow) == 2.0);
  BOOST_TEST(settled_load(8, 4, {{-4, kNow}}, kNow) == 1.0);
  BOOST_TEST(settled_load(8, 4, {{-4, kNow - seconds(600)}}, kNow) == 2.0,
             boost::test_tools::tolerance(0.01));
}

BOOST_AUTO_TEST_CASE(classes_that_would_make_jobs_bounce_are_refused) {
  BOOST_TEST(check("batch", JobClass{}).ok());
  JobClass wrong;
  wrong.loadsched = 2;
  BOOST_TEST(!check("batch", wrong).ok());
  wrong = {};
  wrong.loadstop = wrong.loadcheckpoint;
  BOOST_TEST(!check("batch", wrong).ok());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
