// Images that go from one host to another: what arrives is the same file, and only what was missing
// was sent.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <random>

#include "driver/transfer/chunk_store.h"
#include "driver/transfer/incoming_image.h"
#include "driver/transfer/outgoing_image.h"
#include "tests/unit/image_fixture.h"

namespace {

using namespace ck;
using namespace ck::driver::transfer;
using namespace ck::image::testing;

constexpr std::size_t kMiB = 1 << 20;
constexpr std::uint64_t kLimit = std::uint64_t{1} << 40;

// Text, which is compressed, and random bytes, which are not.
Bytes content(std::size_t mib, unsigned seed) {
  Bytes bytes = text_bytes(mib * kMiB, seed);
  const Bytes noise = random_bytes(mib * kMiB / 2, seed + 1);
  std::copy(noise.begin(), noise.end(), bytes.begin() + static_cast<long>(bytes.size() / 2));
  return bytes;
}

struct Fixture {
  ScratchFolder here, there;
  std::string from = here.file("gen-000001.ckpt");
  std::string to = there.file("gen-000001.ckpt");
  std::uint64_t sent = 0;  // bytes of chunks

  void write(const std::string& path, Bytes bytes) {
    const auto report = image::testing::write_small(path, MemorySource(kBase, std::move(bytes)));
    BOOST_REQUIRE_MESSAGE(report.ok(), why(report));
  }
  std::unique_ptr<OutgoingImage> outgoing(const std::string& path) {
    auto image = OutgoingImage::open(path);
    BOOST_REQUIRE_MESSAGE(image.ok(), why(image));
    return std::move(*image);
  }
  std::unique_ptr<IncomingImage> incoming(const OutgoingImage& image) {
    auto incoming = IncomingImage::open(to, image.head(), kLimit);
    BOOST_REQUIRE_MESSAGE(incoming.ok(), why(incoming));
    return std::move(*incoming);
  }
  Status send_manifest(const OutgoingImage& from, IncomingImage& to, std::size_t piece = 1000) {
    while (to.manifest_missing() > 0) {
      Bytes bytes(std::min<std::uint64_t>(piece, to.manifest_missing()));
      CK_TRY(from.read_manifest(from.manifest_bytes() - to.manifest_missing(), bytes));
      CK_TRY(to.add_manifest(bytes));
    }
    return {};
  }
  // Cut after `most` chunks.
  Status send_chunks(const OutgoingImage& from, IncomingImage& to, std::size_t most = SIZE_MAX) {
    return from.send(to.needed(), [&](std::uint32_t index, std::span<const std::byte> bytes) {
      if (most-- == 0) return Status(make_error(ErrorKind::kTryAgain, "the link was cut"));
      sent += bytes.size();
      return to.add(index, bytes);
    });
  }
  void expect_same(const std::string& original) {
    BOOST_TEST((slurp(to) == slurp(original)), "the files differ");
    const auto reader = image::Reader::open(to, true);
    BOOST_REQUIRE_MESSAGE(reader.ok(), why(reader));
    const auto verified = (*reader)->verify(1, nullptr);
    BOOST_TEST(verified.ok(), why(verified));
  }
  template <typename Result>
  void expect_refused(const Result& result, ErrorKind kind, const std::string& message) {
    BOOST_REQUIRE(!result.ok());
    BOOST_TEST((result.error().kind == kind), result.error().text());
    BOOST_TEST(result.error().message.find(message) != std::string::npos, result.error().message);
  }
};

// Puts the seals on a head that was changed.
ImageHead sealed(std::uint64_t manifest_offset, std::uint64_t manifest_size, image::Hash128 hash) {
  return {image::make_header(), image::make_footer(manifest_offset, manifest_size, hash)};
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(transfer_image, Fixture)

BOOST_AUTO_TEST_CASE(all_of_it) {
  write(from, content(4, 1));
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  BOOST_REQUIRE(send_manifest(*source, *target).ok());
  BOOST_TEST(target->needed_bytes() > 2 * kMiB);
  BOOST_TEST(target->needed().size() == 1u);
  BOOST_REQUIRE(send_chunks(*source, *target).ok());
  BOOST_TEST(target->needed_bytes() == 0u);
  BOOST_TEST(target->needed().empty());
  BOOST_TEST(!std::filesystem::exists(to));
  BOOST_REQUIRE(target->finish().ok());
  BOOST_TEST(!std::filesystem::exists(to + ".part"));
  expect_same(from);
  struct stat status;
  BOOST_REQUIRE(::stat(to.c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 07777) == 0600u);
}

BOOST_AUTO_TEST_CASE(chunks_in_any_order_and_twice) {
  write(from, content(4, 1));
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  BOOST_REQUIRE(send_manifest(*source, *target, 1 << 20).ok());
  std::vector<std::size_t> order(source->extents().size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  for (std::size_t round = 0; round < 2; ++round) {
    for (const std::size_t index : order) {
      Bytes bytes(source->extents()[index].size);
      BOOST_REQUIRE(source->read_extent(index, bytes).ok());
      BOOST_REQUIRE(target->add(index, bytes).ok());
    }
  }
  BOOST_REQUIRE(target->finish().ok());
  expect_same(from);
}

BOOST_AUTO_TEST_CASE(what_an_earlier_generation_holds_is_not_sent) {
  Bytes bytes = content(8, 1);
  write(there.file("gen-000007.ckpt"), bytes);  // from its last visit
  for (std::size_t i = 0; i < 100; ++i) bytes[2 * kMiB + i] = std::byte{7};
  write(from, bytes);
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  BOOST_REQUIRE(send_manifest(*source, *target).ok());
  const std::uint64_t all = target->needed_bytes();
  ChunkStore store(::geteuid());
  BOOST_REQUIRE(store.add(there.file("gen-000007.ckpt")).ok());
  const auto reused = target->reuse(store);
  BOOST_REQUIRE(reused.ok());
  BOOST_TEST(*reused + target->needed_bytes() == all);
  BOOST_REQUIRE(send_chunks(*source, *target).ok());
  BOOST_TEST(sent < kMiB);  // one chunk, compressed
  BOOST_TEST(sent > 0u);
  BOOST_REQUIRE(target->finish().ok());
  expect_same(from);
}

BOOST_AUTO_TEST_CASE(what_was_damaged_or_removed_is_sent) {
  write(from, content(4, 1));
  write(there.file("old"), content(4, 1));
  ChunkStore store(::geteuid());
  BOOST_REQUIRE(store.add(there.file("old")).ok());
  std::string bytes = slurp(there.file("old"));
  for (std::size_t at = 0; at < bytes.size(); at += 512 << 10) bytes[at] ^= 1;
  std::ofstream(there.file("old"), std::ios::binary) << bytes;  // the same file
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  BOOST_REQUIRE(send_manifest(*source, *target).ok());
  const auto reused = target->reuse(store);
  BOOST_TEST(*reused < 2 * kMiB);
  std::filesystem::resize_file(there.file("old"), 0);
  BOOST_TEST(*target->reuse(store) == 0u);
  BOOST_REQUIRE(send_chunks(*source, *target).ok());
  BOOST_REQUIRE(target->finish().ok());
  expect_same(from);
}

BOOST_AUTO_TEST_CASE(images_of_other_users_are_not_shared) {
  write(from, content(2, 1));
  ChunkStore store(::geteuid() + 1);
  expect_refused(store.add(from), ErrorKind::kPermission, "is not the user's own");
  BOOST_TEST(store.chunks() == 0u);
  ChunkStore own(::geteuid());
  BOOST_REQUIRE(::chmod(from.c_str(), 0620) == 0);
  expect_refused(own.add(from), ErrorKind::kPermission, "others may write it");
  BOOST_TEST(own.chunks() == 0u);
}

BOOST_AUTO_TEST_CASE(a_cut_at_every_chunk) {
  write(from, content(6, 1));
  const auto source = outgoing(from);
  std::uint64_t all = 0;
  for (const Extent& extent : source->extents()) all += extent.size;
  for (std::size_t cuts = 0;; ++cuts) {
    const auto target = incoming(*source);  // the daemon has started again
    if (cuts > 0) BOOST_TEST(target->manifest_missing() == 0u);
    BOOST_REQUIRE(send_manifest(*source, *target).ok());
    BOOST_TEST(target->needed_bytes() == all - sent);
    if (send_chunks(*source, *target, 1).ok()) {
      BOOST_REQUIRE(target->finish().ok());
      break;
    }
    BOOST_REQUIRE(cuts < 100);
  }
  BOOST_TEST(sent == all);
  expect_same(from);
}

BOOST_AUTO_TEST_CASE(a_cut_in_the_manifest_begins_it_anew) {
  write(from, content(2, 1));
  const auto source = outgoing(from);
  {
    const auto target = incoming(*source);
    Bytes bytes(10);
    BOOST_REQUIRE(source->read_manifest(0, bytes).ok());
    BOOST_REQUIRE(target->add_manifest(bytes).ok());
  }
  const auto target = incoming(*source);
  BOOST_TEST(target->manifest_missing() == source->manifest_bytes());
  BOOST_REQUIRE(send_manifest(*source, *target).ok());
  BOOST_REQUIRE(send_chunks(*source, *target).ok());
  BOOST_REQUIRE(target->finish().ok());
  expect_same(from);
}

// What a host that went down had not written yet, or a disk has damaged.
BOOST_AUTO_TEST_CASE(a_damaged_part_is_mended) {
  write(from, content(3, 1));
  const auto source = outgoing(from);
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    std::filesystem::remove(to);
    {
      const auto target = incoming(*source);
      BOOST_REQUIRE(send_manifest(*source, *target).ok());
      static_cast<void>(send_chunks(*source, *target, random() % 4));
    }
    std::string part = slurp(to + ".part");
    if (round % 3 == 0) part.resize(random() % part.size());
    for (int i = 0; i < round % 5 && !part.empty(); ++i) part[random() % part.size()] ^= 4;
    std::ofstream(to + ".part", std::ios::binary) << part;
    const auto target = incoming(*source);
    BOOST_REQUIRE(send_manifest(*source, *target).ok());
    BOOST_REQUIRE(send_chunks(*source, *target).ok());
    BOOST_REQUIRE(target->finish().ok());
    expect_same(from);
  }
}

BOOST_AUTO_TEST_CASE(the_part_of_another_image_is_replaced) {
  write(from, content(4, 1));
  write(here.file("other"), content(6, 9));
  {
    const auto other = outgoing(here.file("other"));
    const auto target = incoming(*other);
    BOOST_REQUIRE(send_manifest(*other, *target).ok());
    BOOST_REQUIRE(send_chunks(*other, *target).ok());
  }
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  BOOST_REQUIRE(send_manifest(*source, *target).ok());
  BOOST_REQUIRE(send_chunks(*source, *target).ok());
  BOOST_REQUIRE(target->finish().ok());
  expect_same(from);
}

BOOST_AUTO_TEST_CASE(one_receiver_at_a_time) {
  write(from, content(2, 1));
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  expect_refused(IncomingImage::open(to, source->head(), kLimit), ErrorKind::kTryAgain,
                 "is being received already");
}

BOOST_AUTO_TEST_CASE(an_end_before_all_is_there) {
  write(from, content(4, 1));
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  expect_refused(target->finish(), ErrorKind::kRefused, "is not complete");
  BOOST_REQUIRE(send_manifest(*source, *target).ok());
  static_cast<void>(send_chunks(*source, *target, 1));
  expect_refused(target->finish(), ErrorKind::kRefused, "is not complete");
  BOOST_REQUIRE(target->discard().ok());
  BOOST_TEST(there.empty());
}

BOOST_AUTO_TEST_CASE(the_last_word_and_a_name_that_is_taken) {
  write(from, content(2, 1));
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  BOOST_REQUIRE(send_manifest(*source, *target).ok());
  BOOST_REQUIRE(send_chunks(*source, *target).ok());
  expect_refused(target->finish([] {
    return Status(make_error(ErrorKind::kRefused, "a newer incarnation owns the job"));
  }),
                 ErrorKind::kRefused, "a newer incarnation owns the job");
  spill(to, "precious");
  expect_refused(target->finish(), ErrorKind::kCannotWrite, "File exists");
  BOOST_TEST(slurp(to) == "precious");
  std::filesystem::remove(to);
  BOOST_REQUIRE(target->finish().ok());
  expect_same(from);
}

// A peer that means ill.

BOOST_AUTO_TEST_CASE(chunks_that_are_not_what_the_image_says) {
  write(from, content(4, 1));
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  Bytes bytes(source->extents()[0].size);
  BOOST_REQUIRE(source->read_extent(0, bytes).ok());
  expect_refused(target->add(0, bytes), ErrorKind::kRefused, "chunks before the manifest");
  BOOST_REQUIRE(send_manifest(*source, *target).ok());
  for (const std::uint64_t index : {source->extents().size(), std::size_t{1} << 32, SIZE_MAX})
    expect_refused(target->add(index, bytes), ErrorKind::kRefused, "the image does not have");
  expect_refused(target->add(1, bytes), ErrorKind::kRefused, "not what the image says");
  expect_refused(target->add(0, std::span(bytes).first(bytes.size() - 1)), ErrorKind::kRefused,
                 "not what the image says");
  bytes[5] ^= std::byte{1};
  expect_refused(target->add(0, bytes), ErrorKind::kRefused, "not what the image says");
  BOOST_TEST(target->needed().front().first == 0u);
}

BOOST_AUTO_TEST_CASE(heads_that_lie) {
  write(from, content(2, 1));
  const ImageHead good = outgoing(from)->head();
  const auto refused = [&](ImageHead head, ErrorKind kind, const std::string& message,
                           std::uint64_t limit = kLimit) {
    expect_refused(IncomingImage::open(to, head, limit), kind, message);
    BOOST_TEST(there.empty());
  };
  ImageHead head = good;
  head.header.magic[0] ^= 1;
  refused(head, ErrorKind::kBadImage, "is not a ckrun image");
  head = good;
  head.header.version = 99;
  refused(head, ErrorKind::kBadImage, "newer version");
  head = good;
  head.footer.file_size += 4096;
  refused(head, ErrorKind::kBadImage, "is damaged");
  refused(sealed(64, image::kMaxManifestBytes + 1, {}), ErrorKind::kBadImage, "larger than");
  refused(sealed(10, 100, {}), ErrorKind::kBadImage, "no manifest where it points");
  refused(sealed(std::uint64_t{1} << 50, 100, {}), ErrorKind::kRefused, "too large");
  refused(good, ErrorKind::kRefused, "too large", good.footer.file_size - 1);
}

BOOST_AUTO_TEST_CASE(manifests_that_lie) {
  const Bytes garbage = random_bytes(1000 * 8, 3);
  for (const bool right_hash : {false, true}) {
    const ImageHead head =
        sealed(4096, garbage.size(), right_hash ? image::hash128(garbage) : image::Hash128{});
    const auto target = IncomingImage::open(to, head, kLimit);
    BOOST_REQUIRE_MESSAGE(target.ok(), why(target));
    expect_refused((*target)->add_manifest(Bytes(garbage.size() + 1)), ErrorKind::kRefused,
                   "more than the manifest");
    expect_refused((*target)->add_manifest(garbage), ErrorKind::kBadImage,
                   right_hash ? "invalid" : "is damaged");
    BOOST_REQUIRE((*target)->discard().ok());
  }
  const auto empty = IncomingImage::open(to, sealed(4096, 0, image::hash128({})), kLimit);
  BOOST_TEST(!empty.ok());
}

BOOST_AUTO_TEST_CASE(chunks_that_overlap) {
  image::Manifest manifest = small_job(2 * kMiB);
  for (const std::uint64_t i : {0, 1}) {
    image::ChunkRecord& chunk = *manifest.add_chunks();
    chunk.set_offset(4096 + i * 100);
    chunk.set_stored_size(4096);
    chunk.set_raw_size(4096);
    chunk.add_run_begin(kBase + i * 4096);
    chunk.add_run_length(4096);
  }
  const std::string bytes = manifest.SerializeAsString();
  const auto span = std::as_bytes(std::span(bytes));
  const auto target =
      IncomingImage::open(to, sealed(65536, bytes.size(), image::hash128(span)), kLimit);
  BOOST_REQUIRE_MESSAGE(target.ok(), why(target));
  expect_refused((*target)->add_manifest(span), ErrorKind::kBadImage, "overlap at byte 4196");
}

BOOST_AUTO_TEST_CASE(requests_that_lie) {
  write(from, content(4, 1));
  const auto source = outgoing(from);
  const auto count = static_cast<std::uint32_t>(source->extents().size());
  const auto refused = [&](std::vector<ExtentRange> ranges) {
    expect_refused(source->send(ranges, [](auto, auto) { return Status(); }), ErrorKind::kRefused,
                   "chunks that are not there");
  };
  refused({{0, 0}});
  refused({{count, 1}});
  refused({{0, count + 1}});
  refused({{1, 0xffffffff}});
  refused({{0xffffffff, 1}});
  refused({{1, 1}, {0, 1}});
  refused({{0, 2}, {1, 1}});
  BOOST_TEST(source->send({}, [](auto, auto) { return Status(); }).ok());
}

BOOST_AUTO_TEST_CASE(a_source_that_is_damaged_says_so) {
  write(from, content(4, 1));
  const auto source = outgoing(from);
  const auto target = incoming(*source);
  BOOST_REQUIRE(send_manifest(*source, *target).ok());
  std::string bytes = slurp(from);
  bytes[source->extents()[1].offset + 10] ^= 1;
  std::ofstream(from, std::ios::binary) << bytes;
  expect_refused(send_chunks(*source, *target), ErrorKind::kBadImage, from + " is damaged");
}

// A full disk shows before anything is sent.
BOOST_AUTO_TEST_CASE(a_full_disk) {
  write(from, content(4, 1));
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      ::_exit(77);
    if (::mount("none", there.path().c_str(), "tmpfs", 0, "size=1m") != 0) ::_exit(77);
    const auto source = OutgoingImage::open(from);
    const auto target = IncomingImage::open(to, (*source)->head(), kLimit);
    if (target.ok()) ::_exit(1);
    if (target.error().kind != ErrorKind::kCannotWrite) ::_exit(2);
    ::_exit(there.empty() ? 0 : 3);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    BOOST_TEST_MESSAGE("no private mount namespace to be had here");
  } else {
    BOOST_TEST(status == 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
