// Images on top of others: what they hold is what a whole image would.
#include <boost/test/unit_test.hpp>

#include "runtime/image/basis.h"
#include "runtime/image/generations.h"
#include "tests/unit/image_fixture.h"

using namespace ck;
using namespace ck::image;
using namespace ck::image::testing;

namespace {

constexpr StreamId kMemory{StreamId::Kind::kMemory, 0};
constexpr std::size_t kPages = 1024;

// An image of `now`, of which only the pages in `changed` are read.
Result<WriteReport> write_changes(const std::string& path, const std::string& basis,
                                  const MemorySource& now, const std::vector<Run>& changed) {
  WriterOptions options{.threads = 2};
  options.basis = CK_TRY(Basis::load(basis));
  auto writer = CK_TRY(Writer::create(path, options));
  std::vector<Run> kept;
  std::uint64_t at = kBase;
  for (const Run& run : changed) {
    if (at < run.begin) kept.push_back({at, run.begin - at});
    CK_TRY(writer->add(kMemory, now, {run}));
    at = run.begin + run.length;
  }
  const std::uint64_t end = kBase + now.bytes().size();
  if (at < end) kept.push_back({at, end - at});
  CK_TRY(writer->keep(kMemory, kMemory, kept));
  CK_TRY(writer->finish_chunks());
  return writer->commit(small_job(now.bytes().size()));
}

struct History {
  ScratchFolder folder;
  std::string first = folder.file("gen-000001.ckpt");
  std::string second = folder.file("gen-000002.ckpt");
  std::string third = folder.file("gen-000003.ckpt");
  Bytes bytes = text_bytes(kPages * kPageBytes, 7);

  History() { BOOST_REQUIRE(write_small(first, MemorySource(kBase, bytes)).ok()); }

  // Changes pages `from`, `from + step`, ...; the runs.
  std::vector<Run> change(std::size_t from, std::size_t step, unsigned seed) {
    std::vector<Run> runs;
    for (std::size_t page = from; page < kPages; page += step) {
      const Bytes fresh = page % 3 == 0 ? Bytes(kPageBytes) : random_bytes(kPageBytes, seed++);
      std::memcpy(bytes.data() + page * kPageBytes, fresh.data(), kPageBytes);
      runs.push_back({kBase + page * kPageBytes, kPageBytes});
    }
    return runs;
  }
  void holds(const std::string& path) {
    const auto reader = Reader::open(path, true);
    BOOST_REQUIRE_MESSAGE(reader.ok(), why(reader));
    const auto back = read_stream(**reader, kMemory, kBase, bytes.size());
    BOOST_REQUIRE_MESSAGE(back.ok(), why(back));
    BOOST_TEST((*back == bytes));
    BOOST_TEST((*reader)->verify(2, nullptr).ok());
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(incremental)

BOOST_AUTO_TEST_CASE(pages_come_from_where_they_were_written_last) {
  History history;
  const auto two =
      write_changes(history.second, history.first, MemorySource(kBase, history.bytes), {});
  BOOST_REQUIRE_MESSAGE(two.ok(), why(two));
  history.holds(history.second);
  std::filesystem::remove(history.second);

  auto changed = history.change(5, 17, 1);
  BOOST_REQUIRE(
      write_changes(history.second, history.first, MemorySource(kBase, history.bytes), changed)
          .ok());
  history.holds(history.second);
  changed = history.change(2, 31, 1000);
  const auto three =
      write_changes(history.third, history.second, MemorySource(kBase, history.bytes), changed);
  BOOST_REQUIRE_MESSAGE(three.ok(), why(three));
  BOOST_TEST(three->bytes_in == changed.size() * kPageBytes);
  BOOST_TEST(three->kept_bytes == (kPages - changed.size()) * kPageBytes);
  history.holds(history.third);
  BOOST_TEST((*Reader::open(history.third, true))->manifest().parents_size() == 2);
}

BOOST_AUTO_TEST_CASE(equal_content_that_was_read_again_is_not_stored_again) {
  History history;
  const MemorySource source(kBase, history.bytes);
  WriterOptions options{.threads = 2};
  options.basis = *Basis::load(history.first);
  const auto report = write_small(history.second, source, options);
  BOOST_REQUIRE_MESSAGE(report.ok(), why(report));
  BOOST_TEST(report->duplicate_bytes == history.bytes.size());
  BOOST_TEST(report->image_bytes < 64u << 10);
  history.holds(history.second);
}

BOOST_AUTO_TEST_CASE(parents_stay_as_long_as_they_are_needed) {
  History history;
  auto changed = history.change(5, 17, 1);
  BOOST_REQUIRE(
      write_changes(history.second, history.first, MemorySource(kBase, history.bytes), changed)
          .ok());
  // The first goes as a generation; the second still needs what it holds.
  auto kept = keep_newest(history.folder.path(), 1);
  BOOST_REQUIRE(kept.ok());
  BOOST_TEST(kept->removed.size() == 1u);
  history.holds(history.second);
  BOOST_TEST(list_parents(history.folder.path())->size() == 1u);
  BOOST_REQUIRE(write_small(history.third, MemorySource(kBase, history.bytes)).ok());
  BOOST_REQUIRE(keep_newest(history.folder.path(), 1).ok());
  BOOST_TEST(list_parents(history.folder.path())->empty());
  history.holds(history.third);
}

BOOST_AUTO_TEST_CASE(records_alone_are_all_but_the_chunks) {
  History history;
  const auto changed = history.change(5, 17, 1);
  BOOST_REQUIRE(
      write_changes(history.second, history.first, MemorySource(kBase, history.bytes), changed)
          .ok());
  const auto whole = Reader::open(history.second, true);
  const auto records = Reader::open_records(history.second, true);
  BOOST_REQUIRE_MESSAGE(records.ok(), why(records));
  Manifest expected = (*whole)->manifest();
  BOOST_TEST(expected.chunks_size() > 0);
  expected.clear_chunks();
  BOOST_TEST((*records)->manifest().SerializeAsString() == expected.SerializeAsString());
  BOOST_TEST(((*records)->manifest_hash() == (*whole)->manifest_hash()));
  BOOST_TEST((*records)->parent_fd(0) >= 0);
}

BOOST_AUTO_TEST_CASE(without_its_parent_it_is_refused) {
  History history;
  const auto changed = history.change(5, 17, 1);
  BOOST_REQUIRE(
      write_changes(history.second, history.first, MemorySource(kBase, history.bytes), changed)
          .ok());
  const std::string parent = list_parents(history.folder.path())->front();
  const std::string whole = slurp(parent);
  std::filesystem::remove(parent);
  auto reader = Reader::open(history.second, true);
  BOOST_REQUIRE(!reader.ok());
  BOOST_TEST(reader.error().message.find(parent) != std::string::npos);
  // Another image in its place.
  BOOST_REQUIRE(write_small(history.third, MemorySource(kBase, Bytes(kPageBytes))).ok());
  std::filesystem::copy(history.third, parent);
  reader = Reader::open(history.second, true);
  BOOST_REQUIRE(!reader.ok());
  BOOST_TEST(reader.error().message.find("another image") != std::string::npos);
  // A damaged one.
  std::string damaged = whole;
  damaged[5000] ^= 1;
  spill(parent, damaged);
  reader = Reader::open(history.second, true);
  BOOST_REQUIRE_MESSAGE(reader.ok(), why(reader));
  BOOST_TEST(!(*reader)->verify(2, nullptr).ok());
}

BOOST_AUTO_TEST_SUITE_END()
