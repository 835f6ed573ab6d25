// Bad input: one clear error each, never a crash, never a different content.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "tests/unit/image_fixture.h"

using namespace ck;
using namespace ck::image;
using namespace ck::image::testing;

namespace {

constexpr StreamId kMemory{StreamId::Kind::kMemory, 0};

std::string refusal(const std::string& path, bool require_owner = true) {
  const auto reader = Reader::open(path, require_owner);
  return reader.ok() ? "accepted" : reader.error().message;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A small image with a raw, a compressed and a duplicate chunk.
struct SmallImage {
  SmallImage() : source(kBase, content()) {
    path = folder.file("gen-000001.ckpt");
    auto writer = Writer::create(path, {.threads = 1});
    std::uint64_t at = kBase;
    for (std::uint64_t pages : {2, 4, 2}) {
      BOOST_REQUIRE((*writer)->add(kMemory, source, {{at, pages * kPageBytes}}).ok());
      at += pages * kPageBytes;
    }
    const auto report = (*writer)->commit(small_job(source.bytes().size()));
    BOOST_REQUIRE_MESSAGE(report.ok(), why(report));
    bytes = slurp(path);
  }
  static Bytes content() {
    Bytes random = random_bytes(2 * kPageBytes, 1);
    Bytes all = random;
    const Bytes text = text_bytes(4 * kPageBytes, 2);
    all.insert(all.end(), text.begin(), text.end());
    all.insert(all.end(), random.begin(), random.end());
    return all;
  }
  ScratchFolder folder;
  MemorySource source;
  std::string path;
  std::string bytes;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(damage)

BOOST_AUTO_TEST_CASE(truncation_at_every_length) {
  const SmallImage image;
  const std::string path = image.folder.file("cut");
  for (std::size_t length = 0; length < image.bytes.size(); length += length < 300 ? 1 : 61) {
    spill(path, image.bytes.substr(0, length));
    BOOST_TEST(contains(refusal(path), "is truncated"),
               "length " << length << ": " << refusal(path));
  }
  spill(path, image.bytes + "x");
  BOOST_TEST(refusal(path) != "accepted");
}

// Opens `path`, or takes `opened`, and reads all. True: refused; else the content was the same.
bool refused_or_same(const SmallImage& image, const std::string& path, const Reader* opened) {
  std::unique_ptr<Reader> fresh;
  if (opened == nullptr) {
    Result<std::unique_ptr<Reader>> reader = Reader::open(path, true);
    if (!reader.ok()) return true;
    fresh = std::move(reader).value();
    opened = fresh.get();
  }
  const auto back = read_stream(*opened, kMemory, kBase, image.source.bytes().size());
  if (!back.ok()) return true;
  BOOST_REQUIRE((back.value() == image.source.bytes()));
  return false;
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_in_every_byte) {
  const SmallImage image;
  const std::string path = image.folder.file("flipped");
  spill(path, image.bytes);
  const auto before = Reader::open(path, true);  // chunks are read from the file each time
  BOOST_REQUIRE(before.ok());
  Footer footer;
  std::memcpy(&footer, image.bytes.data() + image.bytes.size() - sizeof footer, sizeof footer);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  unsigned refused = 0;
  for (std::size_t at = 0; at < image.bytes.size(); ++at) {
    const char flipped = static_cast<char>(image.bytes[at] ^ (1 << (at % 8)));
    BOOST_REQUIRE(::pwrite(fd, &flipped, 1, static_cast<off_t>(at)) == 1);
    const bool in_chunks = at >= sizeof(Header) && at < footer.manifest_offset;
    refused += refused_or_same(image, path, in_chunks ? before->get() : nullptr) ? 1 : 0;
    BOOST_REQUIRE(::pwrite(fd, &image.bytes[at], 1, static_cast<off_t>(at)) == 1);
  }
  ::close(fd);
  BOOST_TEST(refusal(path) == "accepted");
  BOOST_TEST(refused > image.bytes.size() / 2);
}

BOOST_AUTO_TEST_CASE(damaged_parts_are_named) {
  const SmallImage image;
  const std::string path = image.folder.file("damaged");
  const auto reader = Reader::open(image.path, true);
  const auto damage = [&](std::size_t at) {
    std::string bytes = image.bytes;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
    spill(path, bytes);
  };
  damage(image.bytes.size() - sizeof(Footer) - 10);
  BOOST_TEST(contains(refusal(path), "the manifest of " + path + " is damaged"));
  BOOST_TEST(!Reader::open_records(path, true).ok());
  damage(20);
  BOOST_TEST(contains(refusal(path), "the header of " + path + " is damaged"));
  damage(image.bytes.size() - 30);
  BOOST_TEST(contains(refusal(path), "the footer of " + path + " is damaged"));
  damage((*reader)->manifest().chunks(1).offset() + 3);
  const auto opened = Reader::open(path, true);
  BOOST_REQUIRE(opened.ok());
  const auto verified = (*opened)->verify(2, nullptr);
  BOOST_REQUIRE(!verified.ok());
  BOOST_TEST(verified.error().message == "chunk 1 of " + path + " is damaged");
  BOOST_TEST((verified.error().kind == ErrorKind::kBadImage));
}

BOOST_AUTO_TEST_CASE(foreign_and_newer_files) {
  const SmallImage image;
  const std::string path = image.folder.file("other");
  spill(path, std::string(5000, 'a'));
  BOOST_TEST(contains(refusal(path), "is not a ckrun image"));
  spill(path, "#!/bin/sh\n");
  BOOST_TEST(contains(refusal(path), "is not a ckrun image"));
  std::string newer = image.bytes;
  newer[offsetof(Header, version)] = 9;
  spill(path, newer);
  BOOST_TEST(contains(refusal(path), "was written by a newer version of ckrun: format 9"));
  BOOST_TEST(contains(refusal(image.folder.path()), "is not a regular file"));
  const std::string fifo = image.folder.file("fifo");
  BOOST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  BOOST_TEST(contains(refusal(fifo), "is not a regular file"));
  const auto missing = Reader::open(image.folder.file("none"), true);
  BOOST_TEST((missing.error().kind == ErrorKind::kNotFound));
}

BOOST_AUTO_TEST_CASE(wrong_mode_and_owner) {
  const SmallImage image;
  for (mode_t mode : {0620, 0602, 0666}) {
    BOOST_REQUIRE(::chmod(image.path.c_str(), mode) == 0);
    BOOST_TEST(contains(refusal(image.path), "may be written by others"));
    BOOST_TEST(refusal(image.path, false) == "accepted");
  }
  BOOST_REQUIRE(::chmod(image.path.c_str(), 0600) == 0);
  BOOST_REQUIRE(::symlink(image.path.c_str(), image.folder.file("link").c_str()) == 0);
  BOOST_TEST(refusal(image.folder.file("link")) == "accepted");
  if (::geteuid() == 0) {
    BOOST_REQUIRE(::chown(image.path.c_str(), 12345, 12345) == 0);
    BOOST_TEST(contains(refusal(image.path), "belongs to another user (uid 12345)"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
