// Memory in advance: which later image of a job may take the place of an earlier one's memory.
#include <boost/test/unit_test.hpp>
#include <ctime>

#include "runtime/restore/successor.h"

using namespace ck::restore;
using ck::image::ClockRecord;
using ck::image::Manifest;

namespace {

Manifest job() {
  Manifest manifest;
  for (int i = 0; i < 2; ++i) {
    auto& process = *manifest.add_processes();
    process.set_pid(10 + i);
    process.set_ppid(i == 0 ? 5 : 10);
    process.set_pgid(10);
    process.set_sid(10);
    process.add_threads();
  }
  auto& file = *manifest.add_objects();
  file.set_kind(ck::image::ObjectRecord::PATH);
  file.set_path("/bin/program");
  return manifest;
}

std::string refusal(const Manifest& later) {
  const ck::Status status = check_successor(job(), later, {});
  if (status.ok()) return "";
  BOOST_TEST((status.error().kind == ck::ErrorKind::kRefused));
  return status.error().message;
}

bool says(const Manifest& later, const std::string& what) {
  return refusal(later).find(what) != std::string::npos;
}

ClockRecord clocks(std::int64_t monotonic) {
  ClockRecord record;
  record.set_monotonic_ns(monotonic);
  record.set_boottime_ns(monotonic);
  return record;
}

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

BOOST_AUTO_TEST_SUITE(restore_successor)

BOOST_AUTO_TEST_CASE(the_same_job_later) {
  BOOST_TEST(refusal(job()) == "");
  Manifest later = job();
  later.mutable_processes(0)->add_mappings()->set_end(4096);
  later.mutable_processes(1)->add_descriptors()->set_fd(7);
  later.add_objects()->set_path("/lib/another");
  BOOST_TEST(refusal(later) == "");
}

BOOST_AUTO_TEST_CASE(what_has_changed_too_much) {
  Manifest later = job();
  later.mutable_processes(1)->add_threads();
  BOOST_TEST(says(later, "process 11 of the job has another number of threads"));
  later = job();
  later.mutable_processes(1)->set_exe("/bin/other");
  BOOST_TEST(says(later, "process 11 of the job runs another program"));
  later = job();
  later.mutable_processes()->RemoveLast();
  BOOST_TEST(says(later, "has other processes beside it"));
  later = job();
  later.mutable_processes(1)->set_pgid(11);
  BOOST_TEST(says(later, "has other processes beside it"));
  later = job();
  later.mutable_processes(0)->mutable_agent()->set_area(4096);
  later.mutable_processes(1)->mutable_agent()->set_area(4096);
  BOOST_TEST(says(later, "runs another program"));
}

BOOST_AUTO_TEST_CASE(what_needs_more_than_memory) {
  const auto refused = [](auto change, const std::string& what) {
    Manifest manifest = job();
    change(manifest);
    const ck::Status status = check_in_advance(manifest);
    return !status.ok() && status.error().message.find(what) != std::string::npos &&
           says(manifest, what);
  };
  BOOST_TEST(check_in_advance(job()).ok());
  BOOST_TEST(refused([](Manifest& m) { m.add_terminals(); }, "a terminal that is not its own"));
  BOOST_TEST(refused([](Manifest& m) { m.set_system_v("something"); }, "System V"));
  BOOST_TEST(refused([](Manifest& m) { m.add_ended()->set_pid(12); }, "have ended"));
  const auto add_memfd = [](Manifest& m) {
    m.add_objects()->set_kind(ck::image::ObjectRecord::MEMFD);
  };
  Manifest open_only = job();
  add_memfd(open_only);
  BOOST_TEST(refusal(open_only) == "");
  BOOST_TEST(refused(
      [&](Manifest& m) {
        add_memfd(m);
        m.mutable_processes(1)->add_mappings()->set_object(2);
      },
      "shared memory"));
}

BOOST_AUTO_TEST_CASE(terminals_stay_the_same) {
  Manifest earlier = job();
  earlier.add_terminals()->set_place(ck::image::TerminalRecord::OWN);
  earlier.mutable_terminals(0)->set_number(3);
  earlier.mutable_terminals(0)->set_foreground(10);
  earlier.mutable_processes(1)->set_terminal(1);
  const auto refused = [&](auto change, const std::string& what) {
    Manifest later = earlier;
    change(later);
    const ck::Status status = check_successor(earlier, later, {});
    return !status.ok() && status.error().message.find(what) != std::string::npos;
  };
  Manifest later = earlier;
  later.mutable_terminals(0)->set_foreground(11);
  later.mutable_terminals(0)->set_window("larger");
  BOOST_TEST(check_successor(earlier, later, {}).ok());
  BOOST_TEST(
      refused([](Manifest& m) { m.mutable_terminals(0)->set_number(4); }, "other terminals"));
  BOOST_TEST(refused([](Manifest& m) { *m.add_terminals() = m.terminals(0); }, "other terminals"));
  BOOST_TEST(
      refused([](Manifest& m) { m.mutable_processes(1)->set_terminal(0); }, "another terminal"));
}

BOOST_AUTO_TEST_CASE(files_get_the_numbers_of_the_later_image) {
  Manifest earlier = job();
  earlier.add_objects()->set_path("/lib/changed");
  earlier.mutable_objects(1)->set_mtime_ns(1);
  Manifest later;
  later.add_objects()->set_path("/lib/changed");
  later.mutable_objects(0)->set_mtime_ns(2);
  *later.add_objects() = earlier.objects(0);
  std::vector<MapStep> steps(3);
  steps[1].object = 1;
  steps[2].object = 2;
  renumber_files(steps, earlier, later);
  BOOST_TEST(steps[0].object == 0u);
  BOOST_TEST(steps[1].object == 2u);
  BOOST_TEST(steps[2].object > 2u);
}

BOOST_AUTO_TEST_CASE(clocks_go_on) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  ClockRecord saved = clocks(100 * kSecond);
  saved.set_realtime_ns((std::int64_t{now.tv_sec} - 7) * kSecond);
  const std::int64_t passed = clocks_now(saved).monotonic_ns() - saved.monotonic_ns();
  BOOST_TEST(passed >= 7 * kSecond);
  BOOST_TEST(passed < 60 * kSecond);
  saved.set_realtime_ns((std::int64_t{now.tv_sec} + 1000) * kSecond);  // taken by a fast clock
  BOOST_TEST(clocks_now(saved).monotonic_ns() == saved.monotonic_ns());
}

BOOST_AUTO_TEST_CASE(clocks_never_go_back_and_do_not_leap) {
  BOOST_TEST(check_clocks(clocks(kSecond), clocks(kSecond)).ok());
  BOOST_TEST(check_clocks(clocks(kSecond), clocks(3 * kSecond)).ok());
  BOOST_TEST(!check_clocks(clocks(kSecond), clocks(kSecond - 1)).ok());
  BOOST_TEST(!check_clocks(clocks(kSecond), clocks(60 * kSecond)).ok());
}

BOOST_AUTO_TEST_SUITE_END()
