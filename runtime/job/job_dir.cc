#include "runtime/job/job_dir.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "runtime/job/json.h"
#include "runtime/job/names.h"
#include "runtime/job/settings_json.h"
#include "runtime/job/small_file.h"

namespace ck::job {
namespace {

constexpr unsigned kJobFormat = 1;
constexpr char kUnknown[] = "unknown";  // exit status of an adopted program, before Linux 6.15
// Linux allows 6 MiB of arguments at most (three quarters of _STK_LIM); JSON may escape each byte.
constexpr std::size_t kLongestJobJson = 48u << 20;

Error exists_already(const std::string& jobs_folder, const std::string& name) {
  return make_error(ErrorKind::kRefused, "job " + name + " exists already in " + jobs_folder,
                    "choose another name, or remove it with: ckpt rm " + name);
}

}  // namespace

std::int64_t unix_now_ns() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

std::string to_json(const JobInfo& info) {
  boost::json::object object;
  object["format"] = kJobFormat;
  object["id"] = info.id;
  object["name"] = info.name;
  object["command"] = boost::json::array(info.command.begin(), info.command.end());
  object["owner"] = info.owner;
  object["created_unix_ns"] = info.created_unix_ns;
  object["cloned_from"] = info.cloned_from;
  object["request_signal"] = format_signal(info.settings.request_signal);
  object["settings"] = settings_json(info.settings);
  return print_json(object);
}

Result<JobInfo> parse_job_info(const std::string& text) {
  static const std::string kWhat = "job.json";
  boost::json::object object = CK_TRY(parse_json_object(text, kWhat));
  JsonFields fields(object);
  if (fields.number("format") != kJobFormat && fields.status(kWhat).ok()) {
    return make_error(ErrorKind::kBadImage, "job.json was written by a newer version of ckrun");
  }
  const boost::json::value* settings = object.if_contains("settings");
  const boost::json::value* command = object.if_contains("command");
  if (settings == nullptr || !settings->is_object() || command == nullptr || !command->is_array()) {
    return damaged(kWhat, "settings or command are absent");
  }
  JobInfo info;
  info.id = fields.text("id");
  info.name = fields.text("name");
  info.owner = static_cast<uid_t>(fields.number("owner"));
  info.created_unix_ns = static_cast<std::int64_t>(fields.number("created_unix_ns"));
  info.cloned_from = fields.text("cloned_from");
  std::string request_signal = fields.text("request_signal");
  CK_TRY(fields.status(kWhat));
  for (const boost::json::value& word : command->as_array()) {
    if (!word.is_string()) return damaged(kWhat, "a word of the command is no text");
    info.command.emplace_back(word.as_string());
  }
  info.settings = CK_TRY(parse_settings(settings->as_object(), kWhat));
  info.settings.request_signal = CK_TRY(or_damaged(parse_request_signal(request_signal), kWhat));
  return info;
}

std::string to_json(const Finished& finished) {
  boost::json::object object;
  object["exit_status"] = finished.exit_status;
  if (!finished.known) object["exit_status"] = kUnknown;
  object["signal"] = finished.signal;
  object["unix_ns"] = finished.unix_ns;
  object["incarnation"] = finished.incarnation;
  return print_json(object);
}

std::string status_text(const Finished& finished) {
  return finished.known ? "exit status " + std::to_string(finished.exit_status)
                        : "an exit status that is unknown: its supervisor had died";
}

Result<Finished> parse_finished(const std::string& text) {
  static const std::string kWhat = "the finished marker";
  boost::json::object object = CK_TRY(parse_json_object(text, kWhat));
  JsonFields fields(object);
  Finished finished;
  const boost::json::value* status = object.if_contains("exit_status");
  finished.known = status == nullptr || *status != kUnknown;
  if (finished.known) finished.exit_status = static_cast<int>(fields.number("exit_status") & 0xff);
  finished.signal = static_cast<int>(fields.number("signal") & 0x7f);
  finished.unix_ns = static_cast<std::int64_t>(fields.number("unix_ns"));
  finished.incarnation = fields.number("incarnation");
  CK_TRY(fields.status(kWhat));
  return finished;
}

namespace {

// An empty folder of that name is taken: it is what a job that was never made has left.
Status give_name(const std::string& folder, const std::string& jobs_folder,
                 const std::string& name) {
  const std::string path = jobs_folder + "/" + name;
  if (rename(folder.c_str(), path.c_str()) == 0) return sync_folder(jobs_folder);
  if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
    return exists_already(jobs_folder, name);
  return sys_error("create the job's folder " + path);
}

}  // namespace

Result<JobDir> JobDir::create(const std::string& jobs_folder, JobInfo info) {
  if (info.id.empty()) info.id = CK_TRY(make_id());
  if (info.name.empty()) {
    info.name = default_name(info.command.empty() ? "job" : info.command[0], info.id);
  }
  CK_TRY(check_name(info.name));
  info.owner = geteuid();
  info.created_unix_ns = unix_now_ns();
  CK_TRY(make_folders(jobs_folder));
  // With job.json from the first moment on: who is killed leaves no job that nobody knows.
  std::string path = jobs_folder + "/" + info.name;
  const std::string unnamed = jobs_folder + "/.new-" + info.id + "-" + std::to_string(getpid());
  if (mkdir(unnamed.c_str(), 0700) != 0 && errno != EEXIST)
    return cannot_make_folder(unnamed, errno);
  Status made = replace_file(unnamed + "/job.json", to_json(info));
  if (made.ok()) made = give_name(unnamed, jobs_folder, info.name);
  if (!made.ok()) {
    unlink((unnamed + "/job.json").c_str());
    rmdir(unnamed.c_str());
    return std::move(made).error();
  }
  return JobDir(std::move(path), std::move(info));
}

Result<JobDir> JobDir::open(const std::string& path) {
  Result<std::string> text = read_small_file(path + "/job.json", kLongestJobJson);
  if (!text.ok()) return std::move(text).error();
  Result<JobInfo> info = parse_job_info(*text);
  if (!info.ok()) return std::move(info).error().within(path);
  return JobDir(path, std::move(*info));
}

Result<JobDir> JobDir::find(const std::string& jobs_folder, const std::string& name_or_id) {
  Error unknown =
      make_error(ErrorKind::kNotFound, "there is no job " + name_or_id + " in " + jobs_folder,
                 "ckpt ls lists the jobs; --dir names another folder");
  if (name_or_id.empty() || name_or_id.find('/') != std::string::npos || name_or_id[0] == '.') {
    return unknown;
  }
  Result<JobDir> by_name = open(jobs_folder + "/" + name_or_id);
  if (by_name.ok() || by_name.error().errnum != ENOENT) return by_name;
  for (const std::string& name : CK_TRY(list_jobs(jobs_folder))) {
    Result<JobDir> job = open(jobs_folder + "/" + name);
    if (job.ok() && job->info().id == name_or_id) return job;
  }
  return unknown;
}

Result<std::optional<Finished>> JobDir::finished() const {
  Result<std::string> text = read_small_file(file("finished"));
  if (!text.ok()) {
    if (text.error().errnum == ENOENT) return std::optional<Finished>();
    return std::move(text).error();
  }
  Result<Finished> finished = parse_finished(*text);
  if (!finished.ok()) return std::move(finished).error().within(path_);
  return std::optional(*finished);
}

Result<std::vector<std::string>> list_jobs(const std::string& jobs_folder) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(jobs_folder.c_str()), closedir);
  if (!folder) {
    if (errno == ENOENT) return names;
    return sys_error("open folder " + jobs_folder);
  }
  while (const dirent* entry = readdir(folder.get())) {
    std::string name = entry->d_name;
    if (name[0] == '.') continue;
    if (access((jobs_folder + "/" + name + "/job.json").c_str(), F_OK) == 0) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace ck::job
