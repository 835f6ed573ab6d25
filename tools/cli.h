// What the commands' option parsing has in common. Main thread only.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/path_map.h"
#include "runtime/base/result.h"

namespace ck::tools {

// Prints "tool: message (hint)" and returns the exit code.
int fail(const char* tool, const Error& error);
// The exit status of a command that has printed: `status`, unless its output was lost.
int finish_output(const char* tool, int status);

// Parses `args` (without the program's name). If the command ends with that (--help, or a mistake),
// returns the exit code.
std::optional<int> parse(const char* tool, CLI::App& app, const std::vector<std::string>& args);

// The subcommand of that name; nullptr: there is none.
const CLI::App* find_subcommand(const CLI::App& app, const std::string& word);

// Refuses options before the subcommand, which would be those of no subcommand: `ckd --config DIR
// init` would make a cluster elsewhere. `default_sub`: whose name may be left out, or nullptr.
Status check_order(const char* tool, const CLI::App& app, const CLI::App* default_sub,
                   const std::vector<std::string>& args);

// Where options end: index of the first word that is neither an option nor an option's value, as
// `apps` declare them; args.size() if there is none. `--` ends options and is skipped.
struct FirstWord {
  std::size_t index = 0;
  bool after_dashes = false;
};
FirstWord first_word(const std::vector<const CLI::App*>& apps,
                     const std::vector<std::string>& args);

// An option whose text one of our parsers (Result<T>(std::string_view)) reads into `target`.
template <typename Target, typename Parser>
CLI::Option* add_parsed(CLI::App& app, const std::string& names, Target& target, Parser parser,
                        const std::string& form, const std::string& help) {
  auto read = [&target, parser, names](const std::string& text) {
    auto value = parser(text);
    if (!value.ok()) throw CLI::ValidationError(names, value.error().text());
    target = *value;
  };
  return app.add_option_function<std::string>(names, read, help)->type_name(form);
}

// A number from `lowest` to `highest`.
std::function<Result<unsigned>(std::string_view)> number_between(unsigned lowest, unsigned highest);

// For CLI::Option::check(), with a question that returns a Status: its answer, or "".
template <typename Question>
auto mistake(Question question) {
  return [question](const std::string& text) {
    const Status answer = question(text);
    return answer.ok() ? std::string() : answer.error().text();
  };
}

void add_dir(CLI::App& app, std::string& target);

// OLD=NEW, each time one more.
void add_path_maps(CLI::App& app, const std::string& name, PathMaps& target,
                   const std::string& help);

}  // namespace ck::tools
