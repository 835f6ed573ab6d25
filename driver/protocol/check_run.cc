#include "driver/protocol/check.h"
#include "driver/protocol/fields.h"

namespace ck::protocol {
namespace {

constexpr std::size_t kLongestPath = 4096;
constexpr std::size_t kModesBytes = 44;  // of struct termios2
constexpr std::uint32_t kMostMask = 0777;
constexpr std::uint32_t kMostCells = 0xffff;
constexpr int kMostStatus = 255;

bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

Status check_words(const wire::RunOrder& order) {
  CK_TRY(check_count("run.arguments", order.arguments_size(), kMostWords));
  CK_TRY(check_count("run.environment", order.environment_size(), kMostWords));
  if (order.arguments().empty()) return bad_field("run.arguments", "is missing");
  std::size_t bytes = 0;
  for (const std::string& word : order.arguments()) {
    if (has_nul(word)) return bad_field("run.arguments", "has a NUL");
    bytes += word.size();
  }
  for (const std::string& entry : order.environment()) {
    const std::size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos || has_nul(entry))
      return bad_field("run.environment", "has an entry that is no variable");
    bytes += entry.size();
  }
  return bytes <= kLongestOrder ? Status() : bad_field("run", "is too long");
}

Status check_terminal(const wire::UserTerminal& terminal) {
  if (!terminal.modes().empty() && terminal.modes().size() != kModesBytes)
    return bad_field("run.terminal.modes", "has another length");
  for (const std::uint32_t size :
       {terminal.rows(), terminal.columns(), terminal.width(), terminal.height()})
    if (size > kMostCells) return bad_field("run.terminal", "is too large");
  return {};
}

}  // namespace

Status check(const wire::RunOrder& order) {
  CK_TRY(check_words(order));
  const std::string& folder = order.folder();
  if (!folder.starts_with('/') || folder.size() > kLongestPath || has_nul(folder))
    return bad_field("run.folder", "is not absolute, or too long");
  if (order.umask() > kMostMask) return bad_field("run.umask", "is not a mask");
  return check_terminal(order.terminal());
}

Status check(const wire::Started& started) {
  CK_TRY(check_text("started.job", started.job(), 64));
  CK_TRY(check_text("started.name", started.name(), 64));
  CK_TRY(check_process("started.server", started.server()));
  if (started.exit_status() < 0 || started.exit_status() > kMostStatus)
    return bad_field("started.exit_status", "is not an exit status");
  if (started.has_failure()) return check_refusal(started.failure());
  return started.job().empty() ? bad_field("started.job", "is missing") : Status();
}

}  // namespace ck::protocol
