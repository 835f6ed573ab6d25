#include "runtime/job/json.h"

namespace ck::job {
namespace json = boost::json;

Error damaged(const std::string& what, const std::string& why) {
  return make_error(ErrorKind::kBadImage, what + " is damaged: " + why);
}

Result<json::object> parse_json_object(const std::string& text, const std::string& what) {
  json::parse_options options;
  options.allow_invalid_utf8 = true;  // command lines are bytes
  options.max_depth = 8;
  json::error_code error;
  json::value value = json::parse(text, error, {}, options);
  if (error || !value.is_object()) {
    return damaged(what, "it is no JSON")
        .with_hint(
            "move its images elsewhere, where each can be restarted by its path, and delete the "
            "folder");
  }
  return std::move(value.as_object());
}

std::string print_json(const json::value& value) {
  return json::serialize(value) + "\n";
}

const json::value* JsonFields::find(const char* name) {
  const json::value* value = object_->if_contains(name);
  return value;
}

std::string JsonFields::text(const char* name) {
  const json::value* value = find(name);
  if (value != nullptr && value->is_string()) return std::string(value->as_string());
  if (missing_.empty()) missing_ = name;
  return {};
}

std::uint64_t JsonFields::number(const char* name) {
  const json::value* value = find(name);
  if (value != nullptr) {
    json::error_code error;
    auto number = value->to_number<std::uint64_t>(error);
    if (!error) return number;
  }
  if (missing_.empty()) missing_ = name;
  return 0;
}

bool JsonFields::flag(const char* name) {
  const json::value* value = find(name);
  if (value != nullptr && value->is_bool()) return value->as_bool();
  if (missing_.empty()) missing_ = name;
  return false;
}

Status JsonFields::status(const std::string& what) const {
  if (missing_.empty()) return {};
  return damaged(what, "no valid '" + missing_ + "' in it");
}

}  // namespace ck::job
