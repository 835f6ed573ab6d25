#include "driver/cluster/toml.h"

#include <algorithm>

namespace ck::cluster {

Result<toml::table> parse_toml(std::string_view text, const std::string& where) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return make_error(ErrorKind::kUsage, where + ", line " +
                                             std::to_string(error.source().begin.line) + ": " +
                                             std::string(error.description()));
  }
}

Error toml_error(const std::string& where, const toml::node& node, std::string_view what) {
  return make_error(
      ErrorKind::kUsage,
      where + ", line " + std::to_string(node.source().begin.line) + ": " + std::string(what));
}

Status check_keys(const toml::table& table, const std::string& where,
                  std::initializer_list<std::string_view> known) {
  for (auto&& [key, node] : table) {
    if (std::find(known.begin(), known.end(), key.str()) == known.end()) {
      return toml_error(where, node, "there is no setting '" + std::string(key.str()) + "'");
    }
  }
  return {};
}

Status read_text(const toml::table& table, const std::string& where, std::string_view key,
                 std::string& target) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return {};
  if (!node->is_string()) return toml_error(where, *node, std::string(key) + " must be a text");
  target = **node->as_string();
  return {};
}

Status read_number(const toml::table& table, const std::string& where, std::string_view key,
                   unsigned lowest, unsigned highest, unsigned& target) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return {};
  std::int64_t value = node->is_integer() ? **node->as_integer() : -1;
  if (value < lowest || value > highest) {
    return toml_error(where, *node,
                      std::string(key) + " must be a number from " + std::to_string(lowest) +
                          " to " + std::to_string(highest));
  }
  target = static_cast<unsigned>(value);
  return {};
}

Status read_real(const toml::table& table, const std::string& where, std::string_view key,
                 double& target) {
  constexpr double kHighest = 1e6;
  const toml::node* node = table.get(key);
  if (node == nullptr) return {};
  const double value = node->value<double>().value_or(-1);
  if (!(value >= 0 && value <= kHighest)) {
    return toml_error(where, *node, std::string(key) + " must be a number that is not negative");
  }
  target = value;
  return {};
}

Status read_flag(const toml::table& table, const std::string& where, std::string_view key,
                 bool& target) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return {};
  if (!node->is_boolean()) {
    return toml_error(where, *node, std::string(key) + " must be true or false");
  }
  target = **node->as_boolean();
  return {};
}

}  // namespace ck::cluster
