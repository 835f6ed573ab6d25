// A job's generations: order, the newest whole one, retention.
#include <boost/test/unit_test.hpp>

#include "runtime/image/generations.h"
#include "runtime/image/temporary_file.h"
#include "tests/unit/image_fixture.h"

using namespace ck;
using namespace ck::image;
using namespace ck::image::testing;

namespace {

std::string make_generation(const ScratchFolder& folder, std::uint64_t number) {
  const std::string path = folder.file(generation_name(number));
  const MemorySource source(kBase, random_bytes(kPageBytes, 1));
  BOOST_REQUIRE(write_small(path, source).ok());
  return path;
}

void damage(const std::string& path) {
  spill(path, slurp(path).substr(0, 3000));
}

std::vector<std::uint64_t> numbers(const ScratchFolder& folder) {
  std::vector<std::uint64_t> result;
  const std::vector<Generation> all = list_generations(folder.path()).value();
  for (const Generation& generation : all) result.push_back(generation.number);
  return result;
}

using Numbers = std::vector<std::uint64_t>;

}  // namespace

BOOST_AUTO_TEST_SUITE(generations)

BOOST_AUTO_TEST_CASE(names) {
  BOOST_TEST(generation_name(7) == "gen-000007.ckpt");
  BOOST_TEST(generation_name(1234567) == "gen-1234567.ckpt");
  BOOST_TEST(generation_number("gen-000007.ckpt").value() == 7u);
  BOOST_TEST(generation_number("gen-1234567.ckpt").value() == 1234567u);
  for (const char* name : {"gen-7.ckpt", "gen-000000.ckpt", "gen-0000007.ckpt", "gen-00000x.ckpt",
                           "gen-.ckpt", ".gen-abcdef.tmp", "gen-000007.ckpt~", "gen--00007.ckpt",
                           "gen-99999999999999999999999.ckpt", "job.json"}) {
    BOOST_TEST(!generation_number(name).has_value(), name);
  }
}

BOOST_AUTO_TEST_CASE(the_newest_whole_one) {
  const ScratchFolder folder;
  BOOST_TEST(next_generation(folder.path()).value() == 1u);
  BOOST_TEST((open_newest_whole(folder.path(), true).error().kind == ErrorKind::kNotFound));
  for (std::uint64_t number : {2, 10, 3}) make_generation(folder, number);
  BOOST_TEST((numbers(folder) == Numbers{2, 3, 10}));
  BOOST_TEST(next_generation(folder.path()).value() == 11u);
  damage(folder.file(generation_name(10)));
  auto newest = open_newest_whole(folder.path(), true);
  BOOST_REQUIRE(newest.ok());
  BOOST_TEST(newest->generation.number == 3u);
  BOOST_REQUIRE(newest->skipped.size() == 1u);
  BOOST_TEST(newest->skipped[0].find("gen-000010.ckpt is truncated") != std::string::npos);
  damage(folder.file(generation_name(2)));
  damage(folder.file(generation_name(3)));
  const auto none = open_newest_whole(folder.path(), true);
  BOOST_REQUIRE(!none.ok());
  BOOST_TEST(none.error().message.find("gen-000010.ckpt is truncated") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(retention_counts_whole_ones_only) {
  const ScratchFolder folder;
  for (std::uint64_t number = 1; number <= 6; ++number) make_generation(folder, number);
  damage(folder.file(generation_name(6)));
  damage(folder.file(generation_name(4)));
  const auto retention = keep_newest(folder.path(), 2);
  BOOST_REQUIRE(retention.ok());
  BOOST_TEST((numbers(folder) == Numbers{3, 4, 5, 6}));
  BOOST_TEST(retention.value().removed.size() == 2u);
  BOOST_TEST(retention.value().damaged.size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_only_whole_one_is_never_removed) {
  const ScratchFolder folder;
  for (std::uint64_t number = 1; number <= 4; ++number) make_generation(folder, number);
  for (std::uint64_t number = 2; number <= 4; ++number)
    damage(folder.file(generation_name(number)));
  for (unsigned keep : {0u, 1u, 2u, 100u}) {
    BOOST_REQUIRE(keep_newest(folder.path(), keep).ok());
    BOOST_TEST((numbers(folder) == Numbers{1, 2, 3, 4}));
  }
}

BOOST_AUTO_TEST_CASE(leftovers_of_the_dead_go_those_of_the_living_stay) {
  const ScratchFolder folder;
  spill(folder.file(".gen-aaaaaa.tmp"), "half");
  auto living = TemporaryFile::create(folder.file("gen-000001.ckpt"), TemporaryFile::Way::kNamed);
  BOOST_REQUIRE(living.ok());
  BOOST_REQUIRE(remove_leftovers(folder.path()).ok());
  BOOST_TEST(!std::filesystem::exists(folder.file(".gen-aaaaaa.tmp")));
  BOOST_REQUIRE(living->publish().ok());
  BOOST_TEST((numbers(folder) == Numbers{1}));
}

BOOST_AUTO_TEST_SUITE_END()
