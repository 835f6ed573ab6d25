#include "driver/protocol/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ck::protocol {
namespace {

constexpr std::size_t kLongestName = 64;
constexpr std::size_t kLongestAddress = 300;

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

bool is_control_character(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536;
}

Error bad_address(std::string_view address) {
  return make_error(ErrorKind::kUsage, "'" + std::string(address) + "' is not an address",
                    "write it as host:7381, 10.0.0.1:7381 or [fd00::1]:7381");
}

}  // namespace

Error bad_field(std::string_view field, std::string_view why) {
  return make_error(ErrorKind::kRefused,
                    "a message's field " + std::string(field) + " " + std::string(why));
}

Status check_text(std::string_view field, std::string_view text, std::size_t longest) {
  if (text.size() > longest) return bad_field(field, "is too long");
  if (std::any_of(text.begin(), text.end(), is_control_character)) {
    return bad_field(field, "has control characters");
  }
  return {};
}

Status check_pem(std::string_view field, std::string_view pem) {
  if (pem.size() > kLongestPem) return bad_field(field, "is too long");
  if (!pem.starts_with("-----BEGIN ")) return bad_field(field, "is not PEM");
  return {};
}

Status check_number(std::string_view field, double value) {
  if (!std::isfinite(value) || value < 0) return bad_field(field, "is not a size");
  return {};
}

Status check_process(std::string_view field, std::uint64_t id) {
  constexpr std::uint64_t kMost = 1u << 22;  // PID_MAX_LIMIT of Linux
  return id <= kMost ? Status() : bad_field(field, "is not a process id");
}

Status check_count(std::string_view field, int count, int most) {
  if (count > most) return bad_field(field, "has too many entries");
  return {};
}

Status check_host_name(std::string_view name) {
  bool valid = !name.empty() && name.size() <= kLongestName && name[0] != '.' && name[0] != '-' &&
               std::all_of(name.begin(), name.end(), is_word_character);
  if (valid) return {};
  return make_error(ErrorKind::kUsage, "that is not a host's name",
                    "letters, digits, '-', '.' and '_', at most 64");
}

Result<Address> split_address(std::string_view address) {
  std::size_t colon = address.rfind(':');
  if (address.size() > kLongestAddress || colon == std::string_view::npos) {
    return bad_address(address.substr(0, kLongestAddress));
  }
  std::string_view host = address.substr(0, colon), port = address.substr(colon + 1);
  bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  auto fits = [bracketed](char c) { return is_word_character(c) || (bracketed && c == ':'); };
  if (host.empty() || !std::all_of(host.begin(), host.end(), fits) || !is_port(port)) {
    return bad_address(address);
  }
  return Address{std::string(host), std::string(port)};
}

Status check_address(std::string_view address) {
  Result<Address> parts = split_address(address);
  if (!parts.ok()) return std::move(parts).error();
  return {};
}

}  // namespace ck::protocol
