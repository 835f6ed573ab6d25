// ckpt inspect: what is in an image.
#include <cstdio>
#include <memory>

#include "runtime/job/image_target.h"
#include "runtime/job/names.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/image_summary.h"
#include "tools/print.h"

namespace ck::tools {
namespace {

namespace json = boost::json;

struct Options {
  std::string target;
  std::string dir;
  bool mappings = false;
  bool json = false;
};

std::string text(const json::object& object, const char* name) {
  return printable(std::string(object.at(name).as_string()));
}

std::uint64_t number(const json::object& object, const char* name) {
  return object.at(name).to_number<std::uint64_t>();
}

std::string joined(const json::array& words) {
  std::string result;
  for (const json::value& word : words) {
    result += (result.empty() ? "" : " ") + std::string(word.as_string());
  }
  return printable(result);
}

void line(const char* label, const std::string& value) {
  std::printf("%-14s %s\n", label, value.c_str());
}

void print_head(const json::object& summary) {
  const json::object& job = summary.at("job").as_object();
  const json::object& host = summary.at("host").as_object();
  line("image", text(summary, "image"));
  line("job", text(job, "name") + " (" + text(job, "id") + "), generation " +
                  std::to_string(number(summary, "generation")));
  line("command", joined(summary.at("command").as_array()));
  line("captured", format_unix_ns(summary.at("captured_unix_ns").to_number<std::int64_t>()) +
                       " on " + text(host, "hostname") + ", pause " +
                       format_nanoseconds(summary.at("pause_ns").to_number<std::int64_t>()));
  line("written by", text(summary, "writer"));
  line("kernel", text(host, "kernel"));
  line("cpu", text(host, "cpu_model"));
  line("cpu features", joined(host.at("cpu_features").as_array()));
  line("sizes", format_bytes(number(summary, "image_bytes")) + " image, " +
                    format_bytes(number(summary, "content_bytes")) + " of content in " +
                    std::to_string(number(summary, "chunks")) + " chunks");
  for (const json::value& parent : summary.at("parents").as_array())
    line("on top of", std::string(parent.as_string()));
}

void print_descriptors(const json::object& process) {
  std::vector<std::vector<std::string>> rows{{"  FD", "KIND", "POSITION", "NAME"}};
  for (const json::value& value : process.at("descriptors").as_array()) {
    const json::object& fd = value.as_object();
    bool known = fd.contains("kind");
    rows.push_back({"  " + std::to_string(number(fd, "fd")), known ? text(fd, "kind") : "?",
                    known ? std::to_string(fd.at("position").to_number<std::int64_t>()) : "",
                    known ? text(fd, "name") : ""});
  }
  if (rows.size() > 1) print_table(rows);
}

void print_mappings(const json::object& process) {
  for (const json::value& value : process.at("mappings").as_array()) {
    const json::object& mapping = value.as_object();
    std::printf("  %012llx-%012llx %s %-9s %s\n",
                static_cast<unsigned long long>(number(mapping, "begin")),
                static_cast<unsigned long long>(number(mapping, "end")),
                text(mapping, "protection").c_str(), text(mapping, "backing").c_str(),
                text(mapping, "name").c_str());
  }
}

void print_process(const json::object& process, bool mappings) {
  std::printf("\nprocess %lld  %s\n",
              static_cast<long long>(process.at("pid").to_number<std::int64_t>()),
              text(process, "exe").c_str());
  line("  folder", text(process, "cwd"));
  line("  memory", format_bytes(number(process, "saved_bytes")) + " saved of " +
                       format_bytes(number(process, "mapped_bytes")) + " mapped in " +
                       std::to_string(process.at("mappings").as_array().size()) + " mappings");
  std::string threads;
  for (const json::value& value : process.at("threads").as_array()) {
    const json::object& thread = value.as_object();
    threads += (threads.empty() ? "" : ", ") + std::to_string(number(thread, "tid")) + " " +
               text(thread, "name");
  }
  line("  threads", std::to_string(process.at("threads").as_array().size()) + ": " + threads);
  print_descriptors(process);
  if (mappings) print_mappings(process);
}

Result<int> inspect(const Options& options) {
  std::string folder = CK_TRY(job::jobs_folder(options.dir));
  job::OpenImage image =
      CK_TRY(job::open_image(CK_TRY(job::locate_image(options.target, folder)), false));
  for (const std::string& line : image.skipped)
    std::fprintf(stderr, "%s: %s\n", kCkpt, line.c_str());
  json::object summary = summarise(*image.reader);
  if (options.json) {
    print_json_line(summary);
    return 0;
  }
  print_head(summary);
  for (const json::value& process : summary.at("processes").as_array()) {
    print_process(process.as_object(), options.mappings);
  }
  return 0;
}

}  // namespace

void declare_inspect(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("inspect", "Show what is in an image");
  auto options = std::make_shared<Options>();
  sub->add_option("IMAGE|JOB", options->target,
                  "Path of an image; or a job: its newest whole image")
      ->required();
  sub->add_flag("--mappings", options->mappings, "Every memory mapping, too");
  sub->add_flag("--json", options->json, "Print JSON, with everything");
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return inspect(*options); }; });
}

}  // namespace ck::tools
