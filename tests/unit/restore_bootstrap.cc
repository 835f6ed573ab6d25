// Where a restorer may camp.
#include <boost/test/unit_test.hpp>

#include "runtime/restore/bootstrap.h"

namespace {

using namespace ck;

image::ProcessRecord process_that_maps(std::uint64_t begin, std::uint64_t end) {
  image::ProcessRecord process;
  process.set_pid(42);
  image::MappingRecord& mapping = *process.add_mappings();
  mapping.set_begin(begin);
  mapping.set_end(end);
  return process;
}

BOOST_AUTO_TEST_SUITE(restore_bootstrap)

BOOST_AUTO_TEST_CASE(a_process_without_room_is_named) {
  const auto full = restore::find_hole(4096, {}, process_that_maps(0x10000000, 0x7ffffffff000));
  BOOST_REQUIRE(!full.ok());
  BOOST_TEST((full.error().kind == ErrorKind::kRefused));
  BOOST_TEST(full.error().message.find("process 42 ") != std::string::npos, full.error().text());
  BOOST_TEST(!full.error().hint.empty());
  BOOST_TEST(restore::find_hole(4096, {}, process_that_maps(0x10000000, 0x20000000)).ok());
}

BOOST_AUTO_TEST_CASE(who_has_mapped_the_camp_is_named) {
  image::Manifest manifest;
  *manifest.add_processes() = process_that_maps(0x10000000, 0x20000000);
  restore::Camp camp;
  camp.begin = 0x1ffff000;
  camp.end = 0x20001000;
  const Status met = restore::check_camp(camp, manifest);
  BOOST_REQUIRE(!met.ok());
  BOOST_TEST(met.error().message.find("process 42 ") != std::string::npos, met.error().text());
  camp.begin = 0x20000000;
  BOOST_TEST(restore::check_camp(camp, manifest).ok());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
