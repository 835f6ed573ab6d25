// Reading the JSON of a job folder: each accessor checks presence and type. Any thread.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "runtime/base/result.h"

namespace ck::job {

// What is wrong with a file that only ckrun writes (kBadImage).
Error damaged(const std::string& what, const std::string& why);

// A value in such a file: that a user could have written it wrong is no reason there.
template <typename T>
Result<T> or_damaged(Result<T> value, const std::string& what) {
  if (value.ok()) return value;
  return damaged(what, value.error().text());
}

Result<boost::json::object> parse_json_object(const std::string& text, const std::string& what);
std::string print_json(const boost::json::value& value);

// Members of an object; the first one that is absent or of another type is remembered.
class JsonFields {
 public:
  explicit JsonFields(const boost::json::object& object) : object_(&object) {}
  std::string text(const char* name);
  std::uint64_t number(const char* name);
  bool flag(const char* name);
  Status status(const std::string& what) const;

 private:
  const boost::json::value* find(const char* name);
  const boost::json::object* object_;
  std::string missing_;
};

}  // namespace ck::job
