// What is written is read back, and costs what it should.
#include <sys/stat.h>

#include <atomic>
#include <boost/test/unit_test.hpp>

#include "runtime/image/temporary_file.h"
#include "runtime/image/zero_pages.h"
#include "tests/unit/image_fixture.h"

using namespace ck;
using namespace ck::image;
using namespace ck::image::testing;

namespace {

constexpr StreamId kMemory{StreamId::Kind::kMemory, 0};
constexpr std::size_t kMiB = 1 << 20;

void append(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

Bytes mixed() {
  Bytes bytes = random_bytes(3 * kMiB, 1);
  append(bytes, text_bytes(3 * kMiB, 2));
  append(bytes, Bytes(2 * kMiB));
  append(bytes, text_bytes(kMiB, 3));
  append(bytes, text_bytes(kMiB, 3));
  for (std::size_t page = 0; page < bytes.size(); page += 5 * kPageBytes) {
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(page), kPageBytes, std::byte{0});
  }
  append(bytes, random_bytes(kPageBytes, 4));
  return bytes;
}

struct Options {
  Codec codec;
  int level;
  unsigned threads;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(round_trip)

BOOST_AUTO_TEST_CASE(all_kinds_of_content_with_all_codecs) {
  const ScratchFolder folder;
  const MemorySource source(kBase, mixed());
  for (const Options& options : {Options{Codec::kZstd, 1, 2}, Options{Codec::kZstd, 3, 5},
                                 Options{Codec::kZstd, 19, 1}, Options{Codec::kRaw, 0, 2}}) {
    const std::string path = folder.file("gen-000001.ckpt");
    const auto report = write_small(path, source, {options.codec, options.level, options.threads});
    BOOST_REQUIRE_MESSAGE(report.ok(), why(report));
    BOOST_TEST(report.value().bytes_in == source.bytes().size());
    BOOST_TEST(report.value().zero_bytes > 2 * kMiB);
    BOOST_TEST(report.value().image_bytes == std::filesystem::file_size(path));
    const auto reader = Reader::open(path, true);
    BOOST_REQUIRE_MESSAGE(reader.ok(), why(reader));
    const auto back = read_stream(**reader, kMemory, kBase, source.bytes().size());
    BOOST_REQUIRE_MESSAGE(back.ok(), why(back));
    BOOST_TEST((back.value() == source.bytes()));
    const auto verified = (*reader)->verify(2, nullptr);
    BOOST_REQUIRE_MESSAGE(verified.ok(), why(verified));
    BOOST_TEST(verified.value().bytes + report.value().zero_bytes == report.value().bytes_in);
    BOOST_TEST((*reader)->manifest().processes(0).cwd() == "/tmp/caf\xe9");
    std::filesystem::remove(path);
  }
}

BOOST_AUTO_TEST_CASE(equal_chunks_are_stored_once) {
  const ScratchFolder folder;
  Bytes bytes;
  for (int i = 0; i < 8; ++i) append(bytes, random_bytes(kMiB, 7));
  const MemorySource source(kBase, bytes);
  const auto report = write_small(folder.file("a"), source, {.threads = 1});
  BOOST_REQUIRE(report.ok());
  BOOST_TEST(report.value().duplicate_bytes == 7 * kMiB);
  BOOST_TEST(report.value().image_bytes < kMiB + 64 * 1024);
}

BOOST_AUTO_TEST_CASE(zeros_alone_take_no_chunk_unless_they_are_to_be_kept) {
  const ScratchFolder folder;
  const MemorySource source(kBase, Bytes(4 * kMiB));
  BOOST_REQUIRE(write_small(folder.file("a"), source).ok());
  BOOST_TEST((*Reader::open(folder.file("a"), true))->manifest().chunks_size() == 0);

  auto writer = Writer::create(folder.file("b"), {.threads = 2});
  BOOST_REQUIRE(writer.ok());
  BOOST_REQUIRE(add_all(**writer, kMemory, source, ZeroPages::kKeep).ok());
  const auto report = (*writer)->commit(small_job(4 * kMiB));
  BOOST_REQUIRE(report.ok());
  BOOST_TEST(report.value().image_bytes < 16 * 1024);
  BOOST_TEST((*Reader::open(folder.file("b"), true))->manifest().chunks_size() == 4);
}

BOOST_AUTO_TEST_CASE(an_object_may_end_within_a_page) {
  const ScratchFolder folder;
  const MemorySource source(0, text_bytes(2 * kMiB + 777, 5));
  Manifest manifest = small_job(kPageBytes);
  ObjectRecord& object = *manifest.add_objects();
  object.set_kind(ObjectRecord::SAVED);
  object.set_size(source.bytes().size());
  object.set_has_content(true);
  auto writer = Writer::create(folder.file("a"), {.threads = 2});
  BOOST_REQUIRE(writer.ok());
  const StreamId stream{StreamId::Kind::kObject, 0};
  BOOST_REQUIRE(add_all(**writer, stream, source).ok());
  const auto report = (*writer)->commit(manifest);
  BOOST_REQUIRE_MESSAGE(report.ok(), why(report));
  const auto reader = Reader::open(folder.file("a"), true);
  BOOST_REQUIRE_MESSAGE(reader.ok(), why(reader));
  BOOST_TEST((read_stream(**reader, stream, 0, source.bytes().size()).value() == source.bytes()));
}

BOOST_AUTO_TEST_CASE(raw_chunks_begin_at_page_boundaries) {
  const ScratchFolder folder;
  const MemorySource source(kBase, mixed());
  BOOST_REQUIRE(write_small(folder.file("a"), source).ok());
  const auto reader = Reader::open(folder.file("a"), true);
  for (const ChunkRecord& chunk : (*reader)->manifest().chunks()) {
    if (chunk.codec() == 0) BOOST_TEST(chunk.offset() % kPageBytes == 0);
  }
}

BOOST_AUTO_TEST_CASE(zero_pages_go_and_runs_split) {
  Bytes content(6 * kPageBytes);
  content[1 * kPageBytes + 5] = std::byte{1};
  content[2 * kPageBytes] = std::byte{2};
  content[5 * kPageBytes - 1] = std::byte{3};
  std::vector<Run> runs = {{kBase, 3 * kPageBytes}, {kBase + 8 * kPageBytes, 3 * kPageBytes}};
  BOOST_TEST(drop_zero_pages(content, runs) == 3 * kPageBytes);
  BOOST_REQUIRE(runs.size() == 2);
  BOOST_TEST(runs[0].begin == kBase + kPageBytes);
  BOOST_TEST(runs[0].length == 2 * kPageBytes);
  BOOST_TEST(runs[1].begin == kBase + 9 * kPageBytes);
  BOOST_TEST(runs[1].length == kPageBytes);
  BOOST_TEST((content[2 * kPageBytes + kPageBytes - 1] == std::byte{3}));
}

BOOST_AUTO_TEST_CASE(progress_is_told_of_every_byte) {
  struct Counter final : Progress {
    void begin(const char*, std::uint64_t total) override { expected = total; }
    void advance(std::uint64_t bytes) override { done += bytes; }
    std::uint64_t expected = 0;
    std::atomic<std::uint64_t> done{0};
  } writing, verifying;
  const ScratchFolder folder;
  const MemorySource source(kBase, mixed());
  auto writer = Writer::create(folder.file("a"), {.threads = 2}, &writing);
  BOOST_REQUIRE(add_all(**writer, kMemory, source).ok());
  BOOST_REQUIRE((*writer)->commit(small_job(source.bytes().size())).ok());
  BOOST_TEST(writing.done.load() == source.bytes().size());
  BOOST_REQUIRE((*Reader::open(folder.file("a"), true))->verify(0, &verifying).ok());
  BOOST_TEST(verifying.done.load() == verifying.expected);
}

BOOST_AUTO_TEST_CASE(the_image_is_for_its_owner_alone) {
  const ScratchFolder folder;
  const mode_t before = ::umask(0);
  BOOST_REQUIRE(
      write_small(folder.file("a"), MemorySource(kBase, random_bytes(kPageBytes, 1))).ok());
  ::umask(before);
  struct stat status;
  BOOST_REQUIRE(::stat(folder.file("a").c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 07777) == 0600u);
}

BOOST_AUTO_TEST_CASE(named_temporary_files_are_published_and_removed) {
  const ScratchFolder folder;
  {
    auto file = TemporaryFile::create(folder.file("a"), TemporaryFile::Way::kNamed);
    BOOST_REQUIRE(file.ok());
    BOOST_TEST(!folder.empty());
  }
  BOOST_TEST(folder.empty());
  auto file = TemporaryFile::create(folder.file("a"), TemporaryFile::Way::kNamed);
  BOOST_REQUIRE(file->sync().ok());
  BOOST_REQUIRE(file->publish().ok());
  BOOST_TEST(std::filesystem::exists(folder.file("a")));
  for (auto way : {TemporaryFile::Way::kNamed, TemporaryFile::Way::kBest}) {
    auto second = TemporaryFile::create(folder.file("a"), way);
    const Status status = second->publish();
    BOOST_REQUIRE(!status.ok());
    BOOST_TEST((status.error().kind == ErrorKind::kCannotWrite));
    BOOST_TEST(status.error().message.find("already exists") != std::string::npos);
  }
}

BOOST_AUTO_TEST_SUITE_END()
