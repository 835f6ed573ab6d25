#include "runtime/job/settings_json.h"

#include "runtime/job/json.h"

namespace ck::job {

boost::json::object settings_json(const Settings& settings) {
  boost::json::object object;
  object["interval_ms"] = settings.interval.count();
  object["keep"] = settings.keep;
  object["compress"] = format_compression(settings.compression);
  object["threads"] = settings.threads;
  object["timeout_ms"] = settings.timeout.count();
  object["tcp"] = format_tcp(settings.tcp);
  object["stop_exit"] = settings.stop_exit;
  object["allow_uncontrolled"] = settings.allow_uncontrolled;
  object["hostname"] = settings.hostname;
  object["class"] = settings.job_class;
  return object;
}

Result<Settings> parse_settings(const boost::json::object& object, const std::string& what) {
  JsonFields fields(object);
  Settings settings;
  settings.interval = std::chrono::milliseconds(fields.number("interval_ms"));
  settings.keep = static_cast<unsigned>(fields.number("keep"));
  std::string compress = fields.text("compress");
  settings.threads = static_cast<unsigned>(fields.number("threads"));
  settings.timeout = std::chrono::milliseconds(fields.number("timeout_ms"));
  settings.stop_exit = static_cast<int>(fields.number("stop_exit") & 0xff);
  if (object.contains("hostname")) settings.hostname = fields.text("hostname");
  const std::string job_class = object.contains("class") ? fields.text("class") : kDefaultClass;
  std::string tcp = object.contains("tcp") ? fields.text("tcp") : format_tcp(settings.tcp);
  CK_TRY(fields.status(what));
  const boost::json::value* allow = object.if_contains("allow_uncontrolled");
  settings.allow_uncontrolled = allow != nullptr && allow->is_bool() && allow->get_bool();
  settings.job_class = CK_TRY(or_damaged(parse_job_class(job_class), what));
  settings.tcp = CK_TRY(or_damaged(parse_tcp(tcp), what));
  settings.compression = CK_TRY(or_damaged(parse_compression(compress), what));
  return settings;
}

}  // namespace ck::job
