// A job's folder, `<dir>/<name>/`: its images (generations), job.json, incarnation, finished, lock,
// and held and held.lock (held_mark.h). JobDir reads; only the holder of an Ownership writes. Any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/job/incarnation.h"
#include "runtime/job/settings.h"

namespace ck::job {

// job.json: written once, when the job is made.
struct JobInfo {
  std::string id;
  std::string name;
  std::vector<std::string> command;
  uid_t owner = 0;
  std::int64_t created_unix_ns = 0;
  std::string cloned_from;  // id of the job that this one is a clone of
  Settings settings;
};
std::string to_json(const JobInfo& info);
Result<JobInfo> parse_job_info(const std::string& json);

// `finished`: the program has ended by itself.
struct Finished {
  bool known = true;    // false: it ended while nobody could see how
  int exit_status = 0;  // as ckrun's own: 128+N if a signal killed it
  int signal = 0;       // that signal, or 0
  std::int64_t unix_ns = 0;
  std::uint64_t incarnation = 0;
};
std::string to_json(const Finished& finished);
std::string status_text(const Finished& finished);  // "exit status 3"
Result<Finished> parse_finished(const std::string& json);

class JobDir {
 public:
  // Makes the folder and job.json. An empty name becomes one from the command, an empty id a new
  // one; owner and time are set here. A job of that name must not exist.
  static Result<JobDir> create(const std::string& jobs_folder, JobInfo info);
  // `path`: the job's folder itself.
  static Result<JobDir> open(const std::string& path);
  // By name or id.
  static Result<JobDir> find(const std::string& jobs_folder, const std::string& name_or_id);

  const std::string& path() const { return path_; }
  const JobInfo& info() const { return info_; }
  std::string file(const char* name) const { return path_ + "/" + name; }
  Result<std::optional<Finished>> finished() const;
  Result<std::optional<Incarnation>> incarnation() const { return read_incarnation(path_); }

 private:
  JobDir(std::string path, JobInfo info) : path_(std::move(path)), info_(std::move(info)) {}
  std::string path_;
  JobInfo info_;
};

// Names of the job folders in `jobs_folder`, sorted; none if it does not exist.
Result<std::vector<std::string>> list_jobs(const std::string& jobs_folder);

std::int64_t unix_now_ns();

}  // namespace ck::job
