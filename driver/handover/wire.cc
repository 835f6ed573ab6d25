#include "driver/handover/wire.h"

#include <algorithm>
#include <string_view>

namespace ck::driver::handover {

namespace {

constexpr std::int64_t kMaxPid = 4 << 20;  // PID_MAX_LIMIT
constexpr std::size_t kHashBytes = 16;
constexpr double kMostTasks = kMaxPid;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 56;  // of memory, or of an image

Error bad(const std::string& what) {
  return make_error(ErrorKind::kRefused, "a peer's message is not valid: " + what);
}

bool printable(char byte) {
  return static_cast<unsigned char>(byte) >= 0x20 && byte != 0x7f;
}

// Texts are shown on terminals and written to logs.
Status check_text(std::string_view text, std::string_view what, std::size_t longest) {
  if (text.size() > longest) return bad(std::string(what) + " is too long");
  if (!std::all_of(text.begin(), text.end(), printable))
    return bad(std::string(what) + " holds control characters");
  return {};
}

// It becomes part of a path.
Status check_file_name(std::string_view text, std::string_view what) {
  CK_TRY(check_text(text, what, kLongestName));
  if (text.empty() || text.starts_with('.') || text.find('/') != text.npos)
    return bad(std::string(what) + " is not a file name");
  return {};
}

Status check_counter(std::uint64_t counter) {
  if (counter == 0 || counter > kHighestCounter) return bad("the counter is out of range");
  return {};
}

Status check_id(const std::string& id) {
  const auto digit = [](char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
  };
  if (id.size() != kIdBytes || !std::all_of(id.begin(), id.end(), digit))
    return bad("the hand-over's id is not " + std::to_string(kIdBytes) + " hexadecimal digits");
  return {};
}

Status check_path(const std::string& path) {
  if (path.empty() || path[0] != '/' || path.size() > kLongestPath ||
      path.find('\0') != std::string::npos)
    return bad("a path is not absolute, or too long");
  return {};
}

using WireKind = wire::Message::KindCase;

}  // namespace

Status check(const wire::Token& token) {
  CK_TRY(check_counter(token.counter()));
  CK_TRY(check_text(token.host(), "the host's name", kLongestHost));
  if (token.host().empty()) return bad("the host has no name");
  if (token.supervisor() <= 0 || token.supervisor() > kMaxPid)
    return bad("the supervisor's pid is out of range");
  return {};
}

Status check(const wire::FilesPlan& plan) {
  if (plan.maps_size() > kMostMaps) return bad("too many paths are to be elsewhere");
  for (const wire::PathMap& map : plan.maps()) {
    CK_TRY(check_path(map.from()));
    CK_TRY(check_path(map.to()));
    // It is told to ckpt restart as OLD=NEW.
    if (map.from().find('=') != std::string::npos) return bad("a path that is mapped holds a '='");
  }
  return {};
}

Status check(const wire::Needs& needs) {
  CK_TRY(check_file_name(needs.user(), "the user's name"));
  if (needs.image_format() == 0) return bad("the image has no format");
  if (needs.memory_bytes() > kMostBytes || needs.image_bytes() > kMostBytes)
    return bad("the job is impossibly large");
  if (needs.host().size() > kLargestHostRecord) return bad("the host's description is too large");
  if (needs.needed_size() > kMostPaths) return bad("too many paths");
  for (const wire::NeededFile& file : needs.needed()) CK_TRY(check_path(file.path()));
  CK_TRY(check_text(needs.job_class(), "the job's class", kLongestName));
  if (!(needs.tasks() >= 0 && needs.tasks() <= kMostTasks)) return bad("its load is impossible");
  return check(needs.files());
}

Status check(const wire::Offer& offer) {
  CK_TRY(check_file_name(offer.job(), "the job's id"));
  if (!offer.has_token() || !offer.has_needs()) return bad("an Offer is not complete");
  CK_TRY(check(offer.token()));
  return check(offer.needs());
}

Status check(const wire::Sealed& sealed) {
  if (sealed.image_bytes() == 0 || sealed.image_bytes() > kMostBytes)
    return bad("the image's size is out of range");
  if (sealed.manifest_hash().size() != kHashBytes) return bad("the manifest has no checksum");
  return {};
}

Status check(const wire::Withdrawn& withdrawn) {
  return check_counter(withdrawn.counter());
}

Status check(const wire::Taken& taken) {
  return check_counter(taken.counter());
}

Status check(const wire::Refused& refused) {
  return check_text(refused.reason(), "the reason", kLongestReason);
}

Status check(const wire::Message& message) {
  CK_TRY(check_id(message.id()));
  switch (message.kind_case()) {
    case WireKind::kOffer:
      return check(message.offer());
    case WireKind::kSealed:
      return check(message.sealed());
    case WireKind::kWithdrawn:
      return check(message.withdrawn());
    case WireKind::kTaken:
      return check(message.taken());
    case WireKind::kRefused:
      return check(message.refused());
    case WireKind::kGiven:
    case WireKind::kRecall:
    case WireKind::kUndecided:
    case WireKind::kAccepted:
    case WireKind::kReady:
    case WireKind::kAsk:
    case WireKind::kUnknown:
      return {};  // nothing in them can be wrong
    case WireKind::KIND_NOT_SET:
      break;
  }
  return bad("it says nothing that this version of ckd knows");
}

Message from_wire(const wire::Message& message) {
  using Kind = Message::Kind;
  switch (message.kind_case()) {
    case WireKind::kOffer:
      return {.kind = Kind::kOffer};
    case WireKind::kSealed:
      return {.kind = Kind::kSealed};
    case WireKind::kGiven:
      return {.kind = Kind::kGiven, .settled = message.given().settled()};
    case WireKind::kWithdrawn:
      return {.kind = Kind::kWithdrawn,
              .counter = message.withdrawn().counter(),
              .settled = message.withdrawn().settled()};
    case WireKind::kRecall:
      return {.kind = Kind::kRecall};
    case WireKind::kUndecided:
      return {.kind = Kind::kUndecided};
    case WireKind::kAccepted:
      return {.kind = Kind::kAccepted};
    case WireKind::kReady:
      return {.kind = Kind::kReady};
    case WireKind::kTaken:
      return {.kind = Kind::kTaken, .counter = message.taken().counter()};
    case WireKind::kRefused:
      return {.kind = Kind::kRefused, .reason = message.refused().reason()};
    case WireKind::kAsk:
      return {.kind = Kind::kAsk};
    case WireKind::kUnknown:
      return {.kind = Kind::kUnknown};
    case WireKind::KIND_NOT_SET:
      break;
  }
  CK_CHECK(false && "the message has passed check()");
}

Terms terms_of(const wire::Message& message) {
  CK_CHECK(message.has_offer());
  const wire::Token& token = message.offer().token();
  return {message.id(),
          message.offer().job(),
          {token.counter(), token.host(), token.supervisor(), token.supervisor_start()},
          message.offer().lease()};
}

namespace {

std::string one_line(std::string text) {
  if (text.size() > kLongestReason) text.resize(kLongestReason);
  std::replace_if(
      text.begin(), text.end(), [](char byte) { return !printable(byte); }, ' ');
  return text;
}

void set_offer(const Terms& terms, wire::Offer& offer) {
  offer.set_job(terms.job);
  offer.set_lease(terms.lease);
  wire::Token& token = *offer.mutable_token();
  token.set_counter(terms.token.counter);
  token.set_host(terms.token.host);
  token.set_supervisor(terms.token.supervisor);
  token.set_supervisor_start(terms.token.supervisor_start);
}

}  // namespace

wire::Message to_wire(const Terms& terms, const Message& message) {
  wire::Message out;
  out.set_id(terms.id);
  switch (message.kind) {
    using enum Message::Kind;
    case kOffer:
      set_offer(terms, *out.mutable_offer());
      break;
    case kSealed:
      out.mutable_sealed();
      break;
    case kGiven:
      out.mutable_given()->set_settled(message.settled);
      break;
    case kWithdrawn:
      out.mutable_withdrawn()->set_counter(message.counter);
      out.mutable_withdrawn()->set_settled(message.settled);
      break;
    case kRecall:
      out.mutable_recall();
      break;
    case kUndecided:
      out.mutable_undecided();
      break;
    case kAccepted:
      out.mutable_accepted();
      break;
    case kReady:
      out.mutable_ready();
      break;
    case kTaken:
      out.mutable_taken()->set_counter(message.counter);
      break;
    case kRefused:
      out.mutable_refused()->set_reason(one_line(message.reason));
      break;
    case kAsk:
      out.mutable_ask();
      break;
    case kUnknown:
      out.mutable_unknown();
      break;
  }
  return out;
}

}  // namespace ck::driver::handover
