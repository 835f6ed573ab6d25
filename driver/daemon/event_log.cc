#include "driver/daemon/event_log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace ck::daemon {
namespace {

// What comes from outside can neither begin a line of its own nor act on a terminal.
std::string quoted(const std::string& value) {
  std::string text;
  for (char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  bool plain = !text.empty() && text.find_first_of(" =\"\\") == std::string::npos;
  return plain ? text : '"' + text + '"';
}

}  // namespace

Status open_event_log(const std::string& level) {
  auto chosen = spdlog::level::from_str(level);
  if (chosen == spdlog::level::off && level != "off") {
    return make_error(ErrorKind::kUsage, "'" + level + "' is not a level of the log",
                      "write debug, info, warning or error");
  }
  auto logger = spdlog::stderr_logger_mt("ckd-events");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  logger->set_level(chosen);
  return {};
}

std::string format_event(std::string_view event, std::initializer_list<Field> fields) {
  std::string line(event);
  for (const Field& field : fields) {
    line += ' ' + std::string(field.name) + '=' + quoted(field.value);
  }
  return line;
}

void log_event(spdlog::level::level_enum level, std::string_view event,
               std::initializer_list<Field> fields) {
  auto logger = spdlog::get("ckd-events");
  if (logger) logger->log(level, "{}", format_event(event, fields));
}

}  // namespace ck::daemon
