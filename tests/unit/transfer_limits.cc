// How fast to send, and how hard to compress for it.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>

#include "driver/transfer/encoding.h"
#include "driver/transfer/token_bucket.h"

namespace {

using namespace ck;
using namespace ck::driver::transfer;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::uint64_t kMega = 1'000'000;
const TokenBucket::Instant kStart{seconds(1000)};

int rank(Encoding encoding) {
  return encoding.codec == image::Codec::kRaw ? -100 : encoding.level;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(transfer_limits)

BOOST_AUTO_TEST_CASE(slow_links_are_worth_more_work) {
  for (const unsigned threads : {1u, 2u, 16u}) {
    int before = 1000;
    for (double link = 1e3; link < 1e12; link *= 1.1) {
      const Encoding encoding = encoding_for(link, threads);
      BOOST_TEST(rank(encoding) <= before);
      before = rank(encoding);
    }
    BOOST_TEST(rank(encoding_for(1e3, threads)) == 6);
    BOOST_TEST(rank(encoding_for(1e12, threads)) == -5);
  }
}

BOOST_AUTO_TEST_CASE(links_as_there_are) {
  BOOST_TEST(rank(encoding_for(1.25e6, 2)) == 3);  // 10 Mbit/s
  BOOST_TEST(rank(encoding_for(1.25e6, 16)) == 6);
  BOOST_TEST(rank(encoding_for(12.5e6, 2)) == 1);  // 100 Mbit/s
  BOOST_TEST(rank(encoding_for(12.5e6, 16)) == 3);
  BOOST_TEST(rank(encoding_for(125e6, 2)) == -1);  // 1 Gbit/s
  BOOST_TEST(rank(encoding_for(125e6, 16)) == 1);
  BOOST_TEST(rank(encoding_for(1.25e9, 2)) == -5);  // 10 Gbit/s
  BOOST_TEST(rank(encoding_for(1.25e9, 16)) == -1);
}

BOOST_AUTO_TEST_CASE(what_is_not_known) {
  for (const double link : {0.0, -1.0, std::nan("")})
    BOOST_TEST((encoding_for(link, 4) == Encoding{}));
  BOOST_TEST((encoding_for(1e6, 0) == encoding_for(1e6, 1)));
}

BOOST_AUTO_TEST_CASE(what_is_usual_stays_unless_much_is_gained) {
  const Encoding usual;  // zstd:1
  BOOST_TEST((encoding_for(0, 2, usual, 1.5) == usual));
  BOOST_TEST((encoding_for(1.25e6, 2, usual, 1.5) == usual));  // level 3 gains 2 %
  BOOST_TEST((encoding_for(1.25e6, 2, usual, 1.01) == encoding_for(1.25e6, 2)));
  BOOST_TEST(rank(encoding_for(1.25e9, 2, usual, 1.5)) == -5);
  const Encoding raw{image::Codec::kRaw, 0};
  BOOST_TEST((encoding_for(1.25e9, 2, raw, 1.5) == raw));
  BOOST_TEST(rank(encoding_for(1.25e6, 2, raw, 1.5)) == 3);
  const Encoding high{image::Codec::kZstd, 19};  // as 6, or slower
  BOOST_TEST((encoding_for(1.25e6, 2, high, 1.5) == high));
  BOOST_TEST(rank(encoding_for(1.25e9, 2, high, 1.5)) == -5);
}

BOOST_AUTO_TEST_CASE(the_speed_of_a_link) {
  LinkSpeed speed;
  BOOST_TEST(!speed.bytes_per_second().has_value());
  speed.note(1000, nanoseconds(0));
  BOOST_TEST(!speed.bytes_per_second().has_value());
  speed.note(50 * kMega, seconds(1));
  BOOST_TEST(*speed.bytes_per_second() == 50e6, boost::test_tools::tolerance(1e-9));
  speed.note(0, seconds(1));  // it stood still
  BOOST_TEST(*speed.bytes_per_second() < 26e6);
  BOOST_TEST(*speed.bytes_per_second() > 20e6);
  for (int i = 0; i < 60; ++i) speed.note(kMega, seconds(1));
  BOOST_TEST(*speed.bytes_per_second() == 1e6, boost::test_tools::tolerance(0.05));
}

BOOST_AUTO_TEST_CASE(no_limit) {
  TokenBucket bucket(0, 0);
  BOOST_TEST((bucket.take(~std::uint64_t{0}, kStart) == kStart));
}

BOOST_AUTO_TEST_CASE(a_burst_and_then_the_rate) {
  TokenBucket bucket(10 * kMega, 2 * kMega);
  BOOST_TEST((bucket.take(kMega, kStart) == kStart));
  BOOST_TEST((bucket.take(kMega, kStart) == kStart));
  BOOST_TEST((bucket.take(kMega, kStart) == kStart + milliseconds(100)));
  BOOST_TEST((bucket.take(kMega, kStart) == kStart + milliseconds(200)));
  // After a pause the burst is there again, but no more than that.
  const auto later = kStart + seconds(100);
  BOOST_TEST((bucket.take(2 * kMega, later) == later));
  BOOST_TEST((bucket.take(kMega, later) == later + milliseconds(100)));
}

// Whatever the pieces: over any time no more goes than rate and burst allow, and not much less.
BOOST_AUTO_TEST_CASE(the_rate_is_kept) {
  std::mt19937_64 random(2);
  for (const std::uint64_t rate :
       {std::uint64_t{1000}, 3 * kMega + 7, std::uint64_t{12'345'678'901}}) {
    for (const std::uint64_t largest :
         {std::uint64_t{3}, std::uint64_t{1500}, std::uint64_t{1} << 20}) {
      TokenBucket bucket(rate, 1 << 20);
      TokenBucket::Instant now = kStart;
      std::uint64_t bytes = 0;
      for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t piece = 1 + random() % largest;
        const auto when = bucket.take(piece, now);
        BOOST_REQUIRE((when >= now));
        now = when;
        bytes += piece;
      }
      const double allowed =
          std::chrono::duration<double>(now - kStart).count() * static_cast<double>(rate);
      BOOST_TEST(static_cast<double>(bytes) <=
                 allowed + (1 << 20) + static_cast<double>(largest) + 20);
      if (bytes > (64 << 20)) BOOST_TEST(static_cast<double>(bytes) >= allowed * 0.999);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_new_rate) {
  TokenBucket bucket(kMega, 0);
  BOOST_TEST((bucket.take(kMega, kStart) == kStart + seconds(1)));
  bucket.set_rate(10 * kMega);
  BOOST_TEST((bucket.take(kMega, kStart) == kStart + milliseconds(1100)));
  bucket.set_rate(0);
  BOOST_TEST((bucket.take(kMega, kStart) == kStart));
}

BOOST_AUTO_TEST_CASE(impossible_sizes) {
  TokenBucket bucket(1, ~std::uint64_t{0});
  for (int i = 0; i < 100; ++i) {
    const auto when = bucket.take(~std::uint64_t{0}, kStart);
    BOOST_TEST((when >= kStart));
  }
}

BOOST_AUTO_TEST_SUITE_END()
