#include "runtime/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>

namespace ck::log {

void init(const char* tool) {
  auto logger = spdlog::stderr_logger_mt(tool);
  logger->set_pattern("%H:%M:%S.%e %n[%P] %l: %v");
  const char* level = std::getenv("CKRUN_LOG");
  logger->set_level(level == nullptr ? spdlog::level::off : spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace ck::log
