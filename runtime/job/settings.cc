#include "runtime/job/settings.h"

#include <strings.h>

#include <array>
#include <charconv>
#include <cstring>

#include "runtime/image/chunk_encoder.h"

namespace ck::job {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
// Largest first, for printing.
constexpr std::array<Unit, 5> kUnits{{
    {"d", 86'400'000},
    {"h", 3'600'000},
    {"m", 60'000},
    {"s", 1000},
    {"ms", 1},
}};
constexpr std::int64_t kLongest = 3650 * kUnits[0].milliseconds;

Error bad_duration(std::string_view text) {
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is not a duration",
                    "write it as 90s, 10m or 1h30m");
}

const Unit* find_unit(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

std::size_t letters_at_start(std::string_view text) {
  std::size_t count = 0;
  while (count < text.size() && text[count] >= 'a' && text[count] <= 'z') ++count;
  return count;
}

}  // namespace

Result<std::uint64_t> parse_rate(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  std::uint64_t factor = unit.empty() ? 1 : unit == "k" ? 1000 : unit == "M" ? 1'000'000 : 0;
  if (unit == "G") factor = 1'000'000'000;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 50;
  if (error == std::errc() && factor > 0 && number > 0 && number <= kMost / factor)
    return number * factor;
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is not a rate",
                    "write bytes a second, such as 500k, 50M or 1G");
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  std::int64_t total = 0;
  std::string_view rest = text;
  if (rest.empty()) return bad_duration(text);
  while (!rest.empty()) {
    std::int64_t count = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    if (error != std::errc() || count < 0) return bad_duration(text);
    bool plain = total == 0 && rest.data() == text.data();
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::size_t letters = letters_at_start(rest);
    const Unit* unit =
        letters == 0 && rest.empty() && plain ? find_unit("s") : find_unit(rest.substr(0, letters));
    if (unit == nullptr || count > kLongest / unit->milliseconds) return bad_duration(text);
    total += count * unit->milliseconds;
    if (total > kLongest) return bad_duration(text);
    rest.remove_prefix(letters);
  }
  return std::chrono::milliseconds(total);
}

Result<std::chrono::milliseconds> parse_interval(std::string_view text) {
  const std::chrono::milliseconds interval = CK_TRY(parse_duration(text));
  if (interval.count() == 0 || interval >= std::chrono::seconds(1)) return interval;
  return make_error(ErrorKind::kUsage,
                    "'" + std::string(text) + "' is too short between checkpoints",
                    "write 1s or more; 0 means never");
}

std::string format_duration(std::chrono::milliseconds duration) {
  std::int64_t rest = duration.count();
  std::string text;
  for (const Unit& unit : kUnits) {
    if (rest < unit.milliseconds) continue;
    text += std::to_string(rest / unit.milliseconds) + std::string(unit.name);
    rest %= unit.milliseconds;
  }
  return text.empty() ? "0s" : text;
}

Result<Compression> parse_compression(std::string_view text) {
  if (text == "none") return Compression{image::Codec::kRaw, 0};
  if (text == "zstd") return Compression{};
  if (text.starts_with("zstd:")) {
    std::string_view digits = text.substr(5);
    int level = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), level);
    bool whole = error == std::errc() && end == digits.data() + digits.size();
    if (whole && level >= image::kLowestLevel && level <= image::kHighestLevel && level != 0)
      return Compression{image::Codec::kZstd, level};
  }
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is not a way to compress",
                    "write none, zstd or zstd:LEVEL with LEVEL from 1 to 19, or -1 to -7 (faster)");
}

std::string format_compression(const Compression& compression) {
  if (compression.codec == image::Codec::kRaw) return "none";
  return "zstd:" + std::to_string(compression.level);
}

Result<std::string> parse_job_class(std::string_view text) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  constexpr std::size_t kLongest = 32;
  const bool valid = !text.empty() && text.size() <= kLongest &&
                     text.find_first_not_of(kLetters) == std::string_view::npos;
  if (valid) return std::string(text);
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is not a class of jobs",
                    "it has letters, digits, '-', '_' and '.', at most 32");
}

Result<resources::TcpPolicy> parse_tcp(std::string_view text) {
  for (auto policy :
       {resources::TcpPolicy::kReset, resources::TcpPolicy::kRefuse, resources::TcpPolicy::kRepair})
    if (text == format_tcp(policy)) return policy;
  return make_error(ErrorKind::kUsage,
                    "'" + std::string(text) + "' is not a way to treat TCP connections",
                    "write reset, refuse or repair");
}

std::string format_tcp(resources::TcpPolicy policy) {
  switch (policy) {
    case resources::TcpPolicy::kRefuse:
      return "refuse";
    case resources::TcpPolicy::kRepair:
      return "repair";
    default:
      return "reset";
  }
}

Result<int> parse_signal(std::string_view text) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= 1 && number <= 64) {
    return number;
  }
  std::string name(text);
  if (strncasecmp(name.c_str(), "SIG", 3) == 0) name.erase(0, 3);
  for (int candidate = 1; candidate < 32; ++candidate) {
    const char* known = sigabbrev_np(candidate);
    if (known != nullptr && strcasecmp(known, name.c_str()) == 0) return candidate;
  }
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is not a signal",
                    "write a name such as SIGUSR2 or a number");
}

std::string format_signal(int number) {
  const char* known = sigabbrev_np(number);
  return known == nullptr ? std::to_string(number) : "SIG" + std::string(known);
}

Result<int> parse_request_signal(std::string_view text) {
  int number = CK_TRY(parse_signal(text));
  for (int unfit : {SIGKILL, SIGSTOP, SIGCONT, SIGCHLD, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP,
                    SIGSYS, SIGPIPE, SIGABRT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, 32, 33}) {
    if (number == unfit) {
      return make_error(ErrorKind::kUsage,
                        format_signal(number) + " cannot be used to ask for a checkpoint",
                        "choose one such as SIGUSR1, SIGUSR2 or SIGXCPU");
    }
  }
  return number;
}

}  // namespace ck::job
