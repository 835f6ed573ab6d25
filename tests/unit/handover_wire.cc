// Messages of a hand-over: what is said arrives, and what a peer must not say is refused.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>

#include "driver/handover/wire.h"

namespace {

using namespace ck;
using namespace ck::driver::handover;

const Terms kTerms{"0123456789abcdef0123456789abcdef", "job-1", {7, "a", 100, 12345}, true};

// A valid one of each kind.
wire::Message valid(Message::Kind kind) {
  wire::Message message =
      to_wire(kTerms, {.kind = kind, .counter = 8, .settled = true, .reason = "no memory"});
  if (message.has_offer()) {
    wire::Needs& needs = *message.mutable_offer()->mutable_needs();
    needs.set_user("jane");
    needs.set_image_format(1);
    needs.set_memory_bytes(1 << 30);
    needs.add_needed()->set_path("/usr/bin/prog\xff");  // not UTF-8, and a proper path
  }
  if (message.has_sealed()) {
    message.mutable_sealed()->set_image_bytes(1000);
    message.mutable_sealed()->set_manifest_hash(std::string(16, '\xab'));
  }
  return message;
}

std::vector<Message::Kind> kinds() {
  std::vector<Message::Kind> all;
  for (int kind = 0; kind <= static_cast<int>(Message::Kind::kUnknown); ++kind)
    all.push_back(static_cast<Message::Kind>(kind));
  return all;
}

void expect_refused(const wire::Message& message, const std::string& reason) {
  const Status status = check(message);
  BOOST_REQUIRE(!status.ok());
  BOOST_TEST((status.error().kind == ErrorKind::kRefused));
  BOOST_TEST(status.error().message == "a peer's message is not valid: " + reason);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(handover_wire)

BOOST_AUTO_TEST_CASE(what_is_said_arrives) {
  for (const Message::Kind kind : kinds()) {
    const std::string bytes = valid(kind).SerializeAsString();
    wire::Message message;
    BOOST_REQUIRE(message.ParseFromString(bytes));
    BOOST_TEST(check(message).ok(), name(kind));
    const Message heard = from_wire(message);
    BOOST_TEST((heard.kind == kind));
    const bool counts = kind == Message::Kind::kTaken || kind == Message::Kind::kWithdrawn;
    BOOST_TEST(heard.counter == (counts ? 8u : 0u));
    const bool settles = kind == Message::Kind::kGiven || kind == Message::Kind::kWithdrawn;
    BOOST_TEST(heard.settled == settles);
    BOOST_TEST(heard.reason == (kind == Message::Kind::kRefused ? "no memory" : ""));
  }
  BOOST_TEST((terms_of(valid(Message::Kind::kOffer)) == kTerms));
}

BOOST_AUTO_TEST_CASE(a_reason_becomes_one_printable_line) {
  const std::string reason = "\x1b[2Jdisk\nfull" + std::string(2000, 'x');
  const wire::Message message =
      to_wire(kTerms, {.kind = Message::Kind::kRefused, .reason = reason});
  BOOST_TEST(check(message).ok());
  BOOST_TEST(message.refused().reason().starts_with(" [2Jdisk full"));
}

BOOST_AUTO_TEST_CASE(every_message_needs_an_id_and_a_kind) {
  for (const Message::Kind kind : kinds()) {
    for (const std::string& id :
         {std::string(), std::string(31, 'a'), std::string(33, 'a'), std::string(32, 'A'),
          std::string("../../etc/passwd/00000000000000")}) {
      wire::Message message = valid(kind);
      message.set_id(id);
      expect_refused(message, "the hand-over's id is not 32 hexadecimal digits");
    }
  }
  wire::Message message;
  message.set_id(kTerms.id);
  expect_refused(message, "it says nothing that this version of ckd knows");
}

BOOST_AUTO_TEST_CASE(offers) {
  const auto refused = [](const std::string& reason, auto change) {
    wire::Message message = valid(Message::Kind::kOffer);
    change(*message.mutable_offer());
    expect_refused(message, reason);
  };
  for (const char* job : {"", ".", "..", ".hidden", "a/b", "/"})
    refused("the job's id is not a file name", [&](auto& offer) { offer.set_job(job); });
  refused("the job's id is too long", [](auto& offer) { offer.set_job(std::string(256, 'j')); });
  refused("the job's id holds control characters", [](auto& offer) { offer.set_job("a\nb"); });
  refused("an Offer is not complete", [](auto& offer) { offer.clear_token(); });
  refused("an Offer is not complete", [](auto& offer) { offer.clear_needs(); });
  for (const std::uint64_t counter : {std::uint64_t{0}, kHighestCounter + 1, ~std::uint64_t{0}})
    refused("the counter is out of range",
            [&](auto& offer) { offer.mutable_token()->set_counter(counter); });
  refused("the host has no name", [](auto& offer) { offer.mutable_token()->clear_host(); });
  refused("the host's name is too long",
          [](auto& offer) { offer.mutable_token()->set_host(std::string(65, 'h')); });
  for (const std::int64_t pid : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40})
    refused("the supervisor's pid is out of range",
            [&](auto& offer) { offer.mutable_token()->set_supervisor(pid); });
}

BOOST_AUTO_TEST_CASE(needs) {
  const auto refused = [](const std::string& reason, auto change) {
    wire::Message message = valid(Message::Kind::kOffer);
    change(*message.mutable_offer()->mutable_needs());
    expect_refused(message, reason);
  };
  refused("the user's name is not a file name", [](auto& needs) { needs.set_user("../root"); });
  refused("the job's class holds control characters",
          [](auto& needs) { needs.set_job_class("a\nb"); });
  refused("its load is impossible", [](auto& needs) { needs.set_tasks(-1); });
  refused("its load is impossible", [](auto& needs) { needs.set_tasks(NAN); });
  refused("the image has no format", [](auto& needs) { needs.set_image_format(0); });
  refused("the job is impossibly large", [](auto& needs) { needs.set_memory_bytes(~0ull); });
  refused("the job is impossibly large", [](auto& needs) { needs.set_image_bytes(~0ull); });
  refused("the host's description is too large",
          [](auto& needs) { needs.set_host(std::string(70000, 'x')); });
  refused("a path is not absolute, or too long",
          [](auto& needs) { needs.add_needed()->set_path("tmp"); });
  refused("a path is not absolute, or too long",
          [](auto& needs) { needs.add_needed()->set_path(std::string("/a\0b", 4)); });
  refused("too many paths", [](auto& needs) {
    for (int i = 0; i < kMostPaths + 1; ++i) needs.add_needed()->set_path("/");
  });
  const auto map = [](auto& needs, const std::string& from, const std::string& to) {
    auto& added = *needs.mutable_files()->add_maps();
    added.set_from(from);
    added.set_to(to);
  };
  refused("a path is not absolute, or too long", [&](auto& needs) { map(needs, "/old", "new"); });
  refused("a path is not absolute, or too long", [&](auto& needs) { map(needs, "", "/new"); });
  refused("a path that is mapped holds a '='", [&](auto& needs) { map(needs, "/a=b", "/new"); });
  refused("too many paths are to be elsewhere", [&](auto& needs) {
    for (int i = 0; i < kMostMaps + 1; ++i) map(needs, "/old", "/new");
  });
}

BOOST_AUTO_TEST_CASE(the_rest) {
  wire::Message sealed = valid(Message::Kind::kSealed);
  sealed.mutable_sealed()->set_image_bytes(0);
  expect_refused(sealed, "the image's size is out of range");
  sealed = valid(Message::Kind::kSealed);
  sealed.mutable_sealed()->set_manifest_hash("short");
  expect_refused(sealed, "the manifest has no checksum");
  wire::Message taken = valid(Message::Kind::kTaken);
  taken.mutable_taken()->set_counter(0);
  expect_refused(taken, "the counter is out of range");
  wire::Message withdrawn = valid(Message::Kind::kWithdrawn);
  withdrawn.mutable_withdrawn()->set_counter(~0ull);
  expect_refused(withdrawn, "the counter is out of range");
  wire::Message refused = valid(Message::Kind::kRefused);
  refused.mutable_refused()->set_reason("\x1b]0;title\a");
  expect_refused(refused, "the reason holds control characters");
}

// Whatever the bytes are: parsed and checked, or refused; what passes can be used.
BOOST_AUTO_TEST_CASE(damaged_bytes) {
  std::mt19937 random(1);
  int passed = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = valid(kinds()[random() % kinds().size()]).SerializeAsString();
    for (unsigned i = 0; i < 1 + random() % 3; ++i)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    wire::Message message;
    if (!message.ParseFromString(bytes) || !check(message).ok()) continue;
    ++passed;
    from_wire(message);
    if (message.has_offer()) terms_of(message);
  }
  BOOST_TEST(passed > 0);
}

BOOST_AUTO_TEST_SUITE_END()
