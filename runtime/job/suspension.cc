#include "runtime/job/suspension.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <thread>
#include <utility>

#include "runtime/base/log.h"
#include "runtime/job/host.h"
#include "runtime/job/json.h"
#include "runtime/job/process_life.h"
#include "runtime/job/small_file.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/tasks.h"

namespace ck::job {
namespace {

using std::chrono::steady_clock;

constexpr char kFile[] = "suspended";
constexpr std::chrono::microseconds kLook{200};
constexpr std::chrono::milliseconds kForOne{20};
constexpr std::chrono::seconds kForAll{2};

struct Word {
  SuspendedBy by = SuspendedBy::kNobody;
  std::uint64_t lease_ms = 0;
  std::string area, boot_id;
  std::vector<std::pair<pid_t, std::uint64_t>> processes;
};

Result<std::string> to_json(const Word& word) {
  boost::json::array processes;
  for (const auto& [pid, start] : word.processes)
    processes.push_back(boost::json::object{{"pid", pid}, {"start", start}});
  return print_json(boost::json::object{{"by", name(word.by)},
                                        {"lease_ms", word.lease_ms},
                                        {"area", word.area},
                                        {"boot_id", CK_TRY(this_host()).boot_id},
                                        {"processes", std::move(processes)}});
}

Result<Word> parse_word(const std::string& text) {
  const boost::json::object object = CK_TRY(parse_json_object(text, kFile));
  JsonFields fields(object);
  Word word;
  const std::string by = fields.text("by");
  for (const SuspendedBy one : {SuspendedBy::kUser, SuspendedBy::kLoad})
    if (by == name(one)) word.by = one;
  word.lease_ms = fields.number("lease_ms");
  word.area = fields.text("area");
  word.boot_id = fields.text("boot_id");
  CK_TRY(fields.status(kFile));
  const boost::json::value* processes = object.if_contains("processes");
  if (processes == nullptr || !processes->is_array())
    return damaged(kFile, "processes is not an array");
  for (const boost::json::value& one : processes->get_array()) {
    if (!one.is_object()) return damaged(kFile, "a process is not an object");
    JsonFields process(one.get_object());
    word.processes.emplace_back(static_cast<pid_t>(process.number("pid")), process.number("start"));
    CK_TRY(process.status(kFile));
  }
  return word;
}

// Nothing that is of another life, or of a time before a reboot.
Word read_word(const JobDir& job, const std::string& area) {
  const Result<std::string> text = read_small_file(job.file(kFile));
  if (!text.ok()) return {};
  Result<Word> word = parse_word(*text);
  if (!word.ok()) {
    spdlog::warn("{}: {}", job.file(kFile), word.error().text());
    return {};
  }
  const Result<Host> here = this_host();
  if (!here.ok() || word->boot_id != here->boot_id || word->area != area) return {};
  return *std::move(word);
}

// States of threads (proc_pid_stat(5)).
constexpr std::string_view kStopped = "TZX";
// A debugger has stopped it: our stop comes when that lets it go on.
constexpr std::string_view kTraced = "TZXt";
// It waits in the kernel for something other than a signal, a disk or a vfork: our stop comes when
// that is over, before any of the program's code.
constexpr std::string_view kWaiting = "TZXtD";

bool all_are(std::string_view states, RealPid process) {
  const Result<std::vector<RealPid>> threads = proc::read_threads(process);
  return !threads.ok() || std::all_of(threads->begin(), threads->end(), [states](RealPid thread) {
    const Result<proc::ProcessStat> stat = proc::read_stat(thread);
    return !stat.ok() || states.find(stat->state) != states.npos;
  });
}

bool comes_to_stand(RealPid process) {
  const auto give_up = steady_clock::now() + kForOne;
  while (!all_are(kTraced, process)) {
    if (steady_clock::now() >= give_up) return all_are(kWaiting, process);
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

}  // namespace

const char* name(SuspendedBy by) {
  switch (by) {
    case SuspendedBy::kNobody:
      return "";
    case SuspendedBy::kUser:
      return "user";
    case SuspendedBy::kLoad:
      return "load";
  }
  return "";
}

SuspendedBy suspended_by(const JobDir& job, const Incarnation& life) {
  return read_word(job, life.area).by;
}

Status suspend_from_the_start(const JobDir& job, const Incarnation& life) {
  Word word;
  word.by = SuspendedBy::kUser;
  word.area = life.area;
  return replace_file(job.file(kFile), CK_TRY(to_json(word)));
}

Suspension::Suspension(const JobDir& job, const Incarnation& life, Members members)
    : job_(job), area_(life.area), members_(std::move(members)) {
  const Word word = read_word(job, area_);
  if (word.by == SuspendedBy::kNobody) (void)unlink(job.file(kFile).c_str());  // of another life
  by_ = word.by;
  lease_ = std::chrono::milliseconds(word.lease_ms);
  for (const auto& [pid, start] : word.processes)
    if (stopped_.emplace(pid, start).second) order_.push_back(pid);
}

SuspendedBy Suspension::by() const {
  std::lock_guard lock(mutex_);
  return by_;
}

std::chrono::milliseconds Suspension::lease() const {
  std::lock_guard lock(mutex_);
  return lease_;
}

Status Suspension::begin(SuspendedBy by, std::chrono::milliseconds lease) {
  std::lock_guard lock(mutex_);
  if (by_ == SuspendedBy::kUser && by == SuspendedBy::kLoad) return {};
  const SuspendedBy before = std::exchange(by_, by);
  const bool says_more = before != by || lease_ != lease;
  lease_ = lease;
  Status done = says_more ? write() : Status();
  if (done.ok() && !awake_) done = stop_all({});
  if (!done.ok() && before == SuspendedBy::kNobody) (void)forget();
  return done;
}

Status Suspension::end() {
  std::lock_guard lock(mutex_);
  return by_ == SuspendedBy::kNobody ? Status() : forget();
}

Status Suspension::forget() {
  by_ = SuspendedBy::kNobody;
  if (!awake_) go_on();
  stopped_.clear();
  order_.clear();
  if (unlink(job_.file(kFile).c_str()) != 0 && errno != ENOENT)
    return sys_error("remove " + job_.file(kFile));
  return {};
}

void Suspension::wake() {
  std::lock_guard lock(mutex_);
  awake_ = true;
  if (by_ != SuspendedBy::kNobody) go_on();
}

void Suspension::stop_again(const std::set<pid_t>& spared) {
  std::lock_guard lock(mutex_);
  if (!std::exchange(awake_, false) || by_ == SuspendedBy::kNobody) return;
  stopped_.clear();
  order_.clear();
  if (Status stopped = stop_all(spared); !stopped.ok()) spdlog::warn("{}", stopped.error().text());
}

Status Suspension::write() const {
  Word word;
  word.by = by_;
  word.lease_ms = static_cast<std::uint64_t>(lease_.count());
  word.area = area_;
  for (const pid_t pid : order_) word.processes.emplace_back(pid, stopped_.at(pid));
  return replace_file(job_.file(kFile), CK_TRY(to_json(word)));
}

// Until all stand still: who does starts nobody.
Status Suspension::stop_all(const std::set<pid_t>& spared) {
  const auto give_up = steady_clock::now() + kForAll;
  Look look = Look::kFoundNew;
  while (look != Look::kAllStand && steady_clock::now() < give_up)
    look = CK_TRY(stop_moving(spared));
  if (look != Look::kFoundNew) return {};  // what has been told to stop will, once it gets to run
  return make_error(ErrorKind::kTryAgain, "job " + job_.info().name +
                                              " starts processes faster than they can be stopped");
}

// Parents first, and each stands still before the next is told: a shell must not see its children
// stop.
Result<Suspension::Look> Suspension::stop_moving(const std::set<pid_t>& spared) {
  std::vector<RealPid> moving;
  Look look = Look::kAllStand;
  for (const RealPid pid : CK_TRY(members_())) {
    const Result<proc::ProcessStat> stat = proc::read_stat(pid);
    if (!stat.ok() || spared.contains(pid.value) || all_are(kStopped, pid)) continue;
    moving.push_back(pid);
    const auto known = stopped_.find(pid.value);
    if (known != stopped_.end() && known->second == stat->start_time) continue;
    stopped_[pid.value] = stat->start_time;
    std::erase(order_, pid.value);
    order_.push_back(pid.value);
    look = Look::kFoundNew;
  }
  if (look == Look::kFoundNew) CK_TRY(write());
  for (const RealPid pid : moving) {
    kill(pid.value, SIGSTOP);
    if (!comes_to_stand(pid) && look == Look::kAllStand) look = Look::kSomeMove;
  }
  return look;
}

// Children first: then their parents hear of nothing but that they go on.
void Suspension::go_on() {
  for (auto pid = order_.rbegin(); pid != order_.rend(); ++pid)
    if (process_alive(RealPid(*pid), stopped_.at(*pid))) kill(*pid, SIGCONT);
}

}  // namespace ck::job
