#include "tools/cli.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>

namespace ck::tools {
namespace {

const CLI::Option* find_option(const std::vector<const CLI::App*>& apps, const std::string& name) {
  for (const CLI::App* app : apps) {
    if (const CLI::Option* option = app->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

bool takes_next_word(const std::vector<const CLI::App*>& apps, const std::string& arg) {
  bool is_long = arg.starts_with("--");
  if (is_long && arg.find('=') != std::string::npos) return false;
  if (!is_long && arg.size() > 2) return false;  // -sSIGUSR2
  const CLI::Option* option = find_option(apps, arg);
  return option != nullptr && option->get_items_expected_max() > 0;
}

}  // namespace

int fail(const char* tool, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", tool, error.text().c_str());
  return exit_code(error.kind);
}

int finish_output(const char* tool, int status) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  const int failed =
      fail(tool, make_error(ErrorKind::kCannotWrite, "standard output cannot be written: " +
                                                         std::string(std::strerror(errno))));
  return status == 0 ? failed : status;
}

std::optional<int> parse(const char* tool, CLI::App& app, const std::vector<std::string>& args) {
  std::vector<const char*> argv{tool};
  for (const std::string& arg : args) argv.push_back(arg.c_str());
  try {
    app.parse(static_cast<int>(argv.size()), argv.data());
    return std::nullopt;
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& mistake) {
    std::string text = mistake.what();
    for (char& c : text) {
      if (c == '\n') c = ' ';
    }
    return fail(tool,
                make_error(ErrorKind::kUsage, text, std::string(tool) + " --help tells more"));
  }
}

const CLI::App* find_subcommand(const CLI::App& app, const std::string& word) {
  auto found =
      app.get_subcommands([&word](const CLI::App* sub) { return sub->get_name() == word; });
  return found.empty() ? nullptr : found[0];
}

Status check_order(const char* tool, const CLI::App& app, const CLI::App* default_sub,
                   const std::vector<std::string>& args) {
  std::vector<const CLI::App*> apps{&app};
  if (default_sub != nullptr) apps.push_back(default_sub);
  const FirstWord word = first_word(apps, args);
  if (word.index == 0 || word.index == args.size() || word.after_dashes) return {};
  const std::string& sub = args[word.index];
  if (find_subcommand(app, sub) == nullptr) return {};
  for (const char* option : {"-h", "--help", "--version"})
    if (args[0] == option) return {};
  return make_error(
      ErrorKind::kUsage, args[0] + " stands before " + sub,
      std::string("options go after the subcommand: ") + tool + " " + sub + " " + args[0] + " ...");
}

FirstWord first_word(const std::vector<const CLI::App*>& apps,
                     const std::vector<std::string>& args) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--") return {i + 1, true};
    if (args[i].empty() || args[i] == "-" || args[i][0] != '-') return {i, false};
    if (takes_next_word(apps, args[i])) ++i;
  }
  return {args.size(), false};
}

std::function<Result<unsigned>(std::string_view)> number_between(unsigned lowest,
                                                                 unsigned highest) {
  return [lowest, highest](std::string_view text) -> Result<unsigned> {
    unsigned value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    bool whole = error == std::errc() && end == text.data() + text.size();
    if (whole && value >= lowest && value <= highest) return value;
    return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is not a number from " +
                                             std::to_string(lowest) + " to " +
                                             std::to_string(highest));
  };
}

void add_path_maps(CLI::App& app, const std::string& name, PathMaps& target,
                   const std::string& help) {
  auto read = [&target, name](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      auto map = parse_path_map(text);
      if (!map.ok()) throw CLI::ValidationError(name, map.error().text());
      target.push_back(*std::move(map));
    }
  };
  app.add_option_function<std::vector<std::string>>(name, read, help)
      ->type_name("OLD=NEW")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_dir(CLI::App& app, std::string& target) {
  app.add_option("--dir", target,
                 "Folder of the jobs (default: $CKRUN_DIR, else $XDG_STATE_HOME/ckrun, else "
                 "~/.local/state/ckrun)")
      ->type_name("DIR");
}

}  // namespace ck::tools
