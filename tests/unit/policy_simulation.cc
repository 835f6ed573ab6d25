// A small cluster on paper: what balancing must gain there, and must not do.
#include <boost/test/unit_test.hpp>

#include "driver/policy/simulation.h"

namespace {

using namespace ck::driver;

SimulationOptions small() {
  SimulationOptions options;
  options.hosts = 60;
  options.jobs = 1200;
  return options;
}

BOOST_AUTO_TEST_SUITE(policy_simulation)

BOOST_AUTO_TEST_CASE(jobs_are_done_sooner_and_do_not_bounce) {
  for (std::uint64_t seed : {1, 2, 3}) {
    SimulationOptions options = small();
    options.seed = seed;
    const SimulationReport balanced = simulate(options);
    options.balance = false;
    const SimulationReport alone = simulate(options);
    BOOST_TEST(balanced.slowdown < 0.6 * alone.slowdown);
    BOOST_TEST(balanced.worst_slowdown < 0.6 * alone.worst_slowdown);
    BOOST_TEST(balanced.fairness > alone.fairness);
    BOOST_TEST(balanced.returns == 0u);
    BOOST_TEST(balanced.most_moves <= 2u);
    BOOST_TEST(balanced.time_to_balance >= std::chrono::seconds(0));
    BOOST_TEST(balanced.time_to_balance <= std::chrono::minutes(15));
  }
}

BOOST_AUTO_TEST_CASE(drained_hosts_become_empty) {
  SimulationOptions options = small();
  options.drained = 6;
  BOOST_TEST(simulate(options).left_on_drained == 0u);
}

BOOST_AUTO_TEST_CASE(it_is_the_same_each_time) {
  const SimulationReport one = simulate(small());
  const SimulationReport other = simulate(small());
  BOOST_TEST(one.moves == other.moves);
  BOOST_TEST(one.slowdown == other.slowdown);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
