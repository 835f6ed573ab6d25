// Pure plans of a restart: who starts whom, and what a forked child keeps of its parent's memory.
#include <boost/test/unit_test.hpp>

#include "runtime/restore/inherited_memory.h"
#include "runtime/restore/tree_plan.h"

using namespace ck::restore;
using ck::image::Manifest;

namespace {

void add_process(Manifest& manifest, int pid, int ppid, int pgid, int sid) {
  auto& process = *manifest.add_processes();
  process.set_pid(pid);
  process.set_ppid(ppid);
  process.set_pgid(pgid);
  process.set_sid(sid);
}

std::string plan_of(const Manifest& manifest) {
  const auto plan = plan_tree(manifest);
  return plan.ok() ? describe(*plan) : plan.error().message;
}

MapStep step_of(ck::image::MappingRecord& record, std::uint64_t begin, std::uint64_t end) {
  record.set_begin(begin);
  record.set_end(end);
  record.set_protection(3);
  MapStep step;
  step.mapping = &record;
  step.first_protection = 3;
  return step;
}

std::string text(const std::vector<AddressRange>& ranges) {
  std::string result;
  for (const AddressRange& range : ranges)
    result += std::to_string(range.begin) + "-" + std::to_string(range.end) + " ";
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(restore_tree)

BOOST_AUTO_TEST_CASE(single_process_needs_nothing) {
  Manifest manifest;
  add_process(manifest, 10, 5, 5, 5);
  BOOST_TEST(plan_of(manifest) == "");
}

BOOST_AUTO_TEST_CASE(children_are_started_by_their_parents) {
  Manifest manifest;
  add_process(manifest, 10, 5, 5, 5);
  add_process(manifest, 11, 10, 5, 5);
  add_process(manifest, 12, 11, 5, 5);
  BOOST_TEST(plan_of(manifest) == "10 starts 11\n11 starts 12\n");
}

BOOST_AUTO_TEST_CASE(child_in_former_session_is_born_before_the_new_one) {
  Manifest manifest;
  add_process(manifest, 10, 5, 5, 5);
  add_process(manifest, 11, 10, 11, 11);
  add_process(manifest, 12, 11, 5, 5);
  add_process(manifest, 13, 11, 11, 11);
  BOOST_TEST(plan_of(manifest) ==
             "10 starts 11\n11 starts 12\n11 begins a session\n11 starts 13\n");
}

BOOST_AUTO_TEST_CASE(leader_takes_its_terminal_before_it_has_children) {
  Manifest manifest;
  manifest.add_terminals()->set_place(ck::image::TerminalRecord::INSIDE);
  add_process(manifest, 10, 5, 5, 5);
  add_process(manifest, 11, 10, 11, 11);
  add_process(manifest, 12, 11, 12, 11);
  manifest.mutable_processes(1)->set_terminal(1);
  manifest.mutable_processes(2)->set_terminal(1);
  BOOST_TEST(plan_of(manifest) ==
             "10 starts 11\n11 begins a session\n11 takes its terminal\n11 starts 12\n"
             "12 joins group 12\n");
}

BOOST_AUTO_TEST_CASE(orphan_is_started_beside_the_root) {
  Manifest manifest;
  add_process(manifest, 10, 5, 5, 5);
  add_process(manifest, 12, 5, 12, 12);
  BOOST_TEST(plan_of(manifest) == "10 starts 12 beside it\n12 begins a session\n");
}

BOOST_AUTO_TEST_CASE(daemon_whose_session_leader_has_ended) {
  Manifest manifest;
  add_process(manifest, 10, 5, 5, 5);
  add_process(manifest, 12, 5, 11, 11);
  BOOST_TEST(plan_of(manifest) ==
             "10 starts 11 beside it\n11 begins a session\n11 starts 12\n11 ends\n");
}

BOOST_AUTO_TEST_CASE(group_whose_leader_has_ended) {
  Manifest manifest;
  add_process(manifest, 10, 5, 5, 5);
  add_process(manifest, 12, 10, 11, 5);
  add_process(manifest, 13, 10, 11, 5);
  BOOST_TEST(plan_of(manifest) ==
             "10 starts 12\n10 starts 13\n12 starts 11\n11 joins group 11\n12 joins group 11\n"
             "13 joins group 11\n11 ends\n");
}

BOOST_AUTO_TEST_CASE(child_before_its_parent_is_refused) {
  Manifest manifest;
  add_process(manifest, 10, 5, 5, 5);
  add_process(manifest, 11, 12, 5, 5);
  add_process(manifest, 12, 10, 5, 5);
  BOOST_TEST(!plan_tree(manifest).ok());
}

BOOST_AUTO_TEST_CASE(grown_mapping_is_kept_in_part) {
  ck::image::MappingRecord parent_heap, parent_gone, child_heap;
  const std::vector<MapStep> base{step_of(parent_heap, 1000, 3000),
                                  step_of(parent_gone, 5000, 6000)};
  std::vector<MapStep> steps{step_of(child_heap, 1000, 4000)};
  const Inheritance result = inherit(base, steps);
  BOOST_TEST(text(result.kept) == "1000-3000 ");
  BOOST_TEST(text(result.dropped) == "5000-6000 ");
  BOOST_REQUIRE(result.fresh.size() == 1);
  BOOST_TEST(result.fresh[0].mapping->begin() == 3000u);
  BOOST_TEST(result.fresh[0].mapping->end() == 4000u);
  BOOST_TEST(!needs_protect(steps[0]));
}

BOOST_AUTO_TEST_CASE(other_kind_of_memory_is_not_kept) {
  ck::image::MappingRecord of_parent, of_child;
  std::vector<MapStep> base{step_of(of_parent, 1000, 3000)};
  base[0].object = 1;
  std::vector<MapStep> steps{step_of(of_child, 1000, 3000)};
  const Inheritance result = inherit(base, steps);
  BOOST_TEST(result.kept.empty());
  BOOST_TEST(text(result.dropped) == "1000-3000 ");
  BOOST_TEST(result.fresh.size() == 1u);
}

BOOST_AUTO_TEST_CASE(pages_of_the_parent_alone_are_surplus) {
  BOOST_TEST(text(surplus({{1000, 5000}}, {{0, 2000}, {3000, 6000}},
                          {{1500, 1600}, {4000, 9000}})) == "1000-1500 1600-2000 3000-4000 ");
}

BOOST_AUTO_TEST_SUITE_END()
