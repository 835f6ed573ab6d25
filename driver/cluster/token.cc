#include "driver/cluster/token.h"

#include <algorithm>

#include "driver/protocol/check.h"

namespace ck::cluster {
namespace {

constexpr std::string_view kStart = "ckd1.";
constexpr std::size_t kDigest = 32, kSum = 4;
constexpr std::size_t kLongest = 1024;

std::span<const unsigned char> as_bytes(std::string_view text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

std::string checksum(std::string_view content) {
  return sha256(as_bytes(content)).substr(0, kSum);
}

std::string to_base64url(std::string content) {
  while (content.size() % 3 != 0) content += '\0';  // no padding characters
  std::string text(content.size() / 3 * 4 + 1, '\0');
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                             as_bytes(content).data(), static_cast<int>(content.size()));
  text.resize(static_cast<std::size_t>(size));
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

std::string from_base64url(std::string text) {
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  std::string content(text.size(), '\0');
  int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(content.data()),
                             as_bytes(text).data(), static_cast<int>(text.size()));
  content.resize(static_cast<std::size_t>(std::max(size, 0)));
  return content;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

Error not_a_token() {
  return make_error(ErrorKind::kUsage,
                    "that is not an invitation of ckd, or a part of it is missing",
                    "pass on all that ckd invite printed");
}

// Up to the NUL that ends it.
std::string take_text(std::string& rest) {
  std::size_t end = rest.find('\0');
  std::string text = rest.substr(0, end);
  rest.erase(0, end == std::string::npos ? end : end + 1);
  return text;
}

}  // namespace

std::string format_token(const Token& token) {
  std::string content = token.authority;
  content.append(reinterpret_cast<const char*>(token.seed.data()), token.seed.size());
  content += token.host + '\0' + token.address + '\0';
  return std::string(kStart) + to_base64url(checksum(content) + content);
}

Result<Token> parse_token(std::string_view text) {
  text = trimmed(text);
  if (!text.starts_with(kStart) || text.size() > kLongest) return not_a_token();
  std::string content = from_base64url(std::string(text.substr(kStart.size())));
  if (content.size() < kSum + kDigest + Seed().size() + 4) return not_a_token();
  content.resize(content.find_last_not_of('\0') + 2);  // what was added to fill the last group
  std::string sum = content.substr(0, kSum);
  content.erase(0, kSum);
  if (checksum(content) != sum) return not_a_token();
  Token token;
  token.authority = content.substr(0, kDigest);
  std::copy_n(as_bytes(content).data() + kDigest, token.seed.size(), token.seed.begin());
  content.erase(0, kDigest + token.seed.size());
  token.host = take_text(content);
  token.address = take_text(content);
  CK_TRY(protocol::check_host_name(token.host));
  CK_TRY(protocol::check_address(token.address));
  return token;
}

}  // namespace ck::cluster
