// Reading TOML with toml++: what is wrong becomes an error that names file and line. Any thread.
#pragma once

#include <toml++/toml.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace ck::cluster {

Result<toml::table> parse_toml(std::string_view text, const std::string& where);

// "PATH, line 7: what".
Error toml_error(const std::string& where, const toml::node& node, std::string_view what);

// Refuses keys that are none of `known`: most likely they are mistyped.
Status check_keys(const toml::table& table, const std::string& where,
                  std::initializer_list<std::string_view> known);

// Leave `target` alone if the key is absent.
Status read_text(const toml::table& table, const std::string& where, std::string_view key,
                 std::string& target);
Status read_number(const toml::table& table, const std::string& where, std::string_view key,
                   unsigned lowest, unsigned highest, unsigned& target);
// From 0 to a million, with a fraction or without.
Status read_real(const toml::table& table, const std::string& where, std::string_view key,
                 double& target);
Status read_flag(const toml::table& table, const std::string& where, std::string_view key,
                 bool& target);

}  // namespace ck::cluster
