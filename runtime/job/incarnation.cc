#include "runtime/job/incarnation.h"

#include "runtime/job/json.h"
#include "runtime/job/process_life.h"
#include "runtime/job/small_file.h"

namespace ck::job {

bool Incarnation::same_life(const Incarnation& other) const {
  return counter == other.counter && host.boot_id == other.host.boot_id &&
         host.pid_namespace == other.host.pid_namespace && supervisor == other.supervisor &&
         supervisor_start == other.supervisor_start;
}

std::string Incarnation::describe() const {
  if (is_move()) return "incarnation " + std::to_string(counter) + " (on host " + host.name + ")";
  return "incarnation " + std::to_string(counter) + " (process " + to_string(supervisor) +
         " on host " + host.name + ")";
}

Incarnation move_to(const std::string& host, std::uint64_t counter) {
  Incarnation result;
  result.counter = counter;
  result.host.name = host;
  return result;
}

std::string to_json(const Incarnation& incarnation) {
  boost::json::object object;
  object["counter"] = incarnation.counter;
  object["host"] = incarnation.host.name;
  object["machine_id"] = incarnation.host.machine_id;
  object["boot_id"] = incarnation.host.boot_id;
  object["pid_namespace"] = incarnation.host.pid_namespace;
  object["pid"] = incarnation.supervisor.value;
  object["start_time"] = incarnation.supervisor_start;
  object["root_pid"] = incarnation.root.value;
  object["root_start_time"] = incarnation.root_start;
  object["area"] = incarnation.area;
  if (incarnation.keeper) object["keeper"] = incarnation.keeper.value;
  object["ended"] = incarnation.ended;
  return print_json(object);
}

Result<Incarnation> parse_incarnation(const std::string& text) {
  static const std::string kWhat = "the incarnation file";
  boost::json::object object = CK_TRY(parse_json_object(text, kWhat));
  JsonFields fields(object);
  Incarnation result;
  result.counter = fields.number("counter");
  result.host.name = fields.text("host");
  result.host.machine_id = fields.text("machine_id");
  result.host.boot_id = fields.text("boot_id");
  result.host.pid_namespace = fields.number("pid_namespace");
  result.supervisor = RealPid(static_cast<pid_t>(fields.number("pid")));
  result.supervisor_start = fields.number("start_time");
  result.root = RealPid(static_cast<pid_t>(fields.number("root_pid")));
  result.root_start = fields.number("root_start_time");
  result.area = fields.text("area");
  if (object.contains("keeper"))
    result.keeper = RealPid(static_cast<pid_t>(fields.number("keeper")));
  result.ended = fields.flag("ended");
  CK_TRY(fields.status(kWhat));
  return result;
}

Result<std::optional<Incarnation>> read_incarnation_file(const std::string& path) {
  Result<std::string> text = read_small_file(path);
  if (!text.ok()) {
    if (text.error().errnum == ENOENT) return std::optional<Incarnation>();
    return std::move(text).error();
  }
  Result<Incarnation> incarnation = parse_incarnation(*text);
  if (!incarnation.ok()) return std::move(incarnation).error().within(path);
  return std::optional(std::move(*incarnation));
}

Result<std::optional<Incarnation>> read_incarnation(const std::string& folder) {
  return read_incarnation_file(folder + "/incarnation");
}

OwnerState owner_state(const Incarnation& owner, const Host& here) {
  if (owner.ended) return OwnerState::kGone;
  if (owner.host.boot_id != here.boot_id) {
    // The same machine with another boot id has been started anew since. Without a machine id,
    // names alone do not tell: hosts called "localhost" are many.
    bool rebooted = !here.machine_id.empty() && owner.host.machine_id == here.machine_id &&
                    owner.host.name == here.name;
    return rebooted ? OwnerState::kGone : OwnerState::kUnknown;
  }
  if (owner.host.pid_namespace != here.pid_namespace) return OwnerState::kGone;
  if (process_alive(owner.supervisor, owner.supervisor_start)) return OwnerState::kSupervisorLives;
  return process_alive(owner.root, owner.root_start) ? OwnerState::kProgramLives
                                                     : OwnerState::kGone;
}

}  // namespace ck::job
