// The daemon's log: one line an event, on standard error, with fields as name=value. Any thread.
#pragma once

#include <spdlog/common.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace ck::daemon {

struct Field {
  std::string_view name;
  std::string value;
};

// Before the first event. `level`: trace, debug, info, warning, error.
Status open_event_log(const std::string& level);

void log_event(spdlog::level::level_enum level, std::string_view event,
               std::initializer_list<Field> fields = {});
inline void log_info(std::string_view event, std::initializer_list<Field> fields = {}) {
  log_event(spdlog::level::info, event, fields);
}
inline void log_warning(std::string_view event, std::initializer_list<Field> fields = {}) {
  log_event(spdlog::level::warn, event, fields);
}

// "peer refused peer=10.0.0.2:4711 reason=\"certificate revoked\"". Pure.
std::string format_event(std::string_view event, std::initializer_list<Field> fields);

}  // namespace ck::daemon
