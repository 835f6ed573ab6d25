#include "driver/cluster/settings.h"

#include "driver/cluster/secrets.h"
#include "driver/cluster/toml.h"
#include "driver/protocol/check.h"
#include "runtime/job/settings.h"

namespace ck::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

template <typename Duration>
Status read_duration(const toml::table& table, const std::string& where, std::string_view key,
                     Duration& target) {
  std::string text;
  CK_TRY(read_text(table, where, key, text));
  if (table.get(key) == nullptr) return {};
  Result<milliseconds> duration = job::parse_duration(text);
  if (!duration.ok() || *duration < milliseconds(100)) {
    return toml_error(where, *table.get(key), std::string(key) + " must be a time such as \"30s\"");
  }
  target = std::chrono::duration_cast<Duration>(*duration);
  return {};
}

Status check_value(const toml::table& table, const std::string& where, std::string_view key,
                   const Status& status) {
  if (status.ok()) return {};
  const toml::node* node = table.get(key);
  return toml_error(where, node == nullptr ? table : *node,
                    std::string(key) + ": " + status.error().text());
}

Status check_id(std::string_view id) {
  bool valid =
      id.size() == 16 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return valid ? Status()
               : make_error(ErrorKind::kUsage, "that is not a cluster's id", "ckd init makes one");
}

Result<ClusterSettings> read_cluster(const toml::table& table, const std::string& where) {
  CK_TRY(check_keys(table, where,
                    {"id", "host", "authority", "address", "listen", "peers_from",
                     "certificate_lifetime", "refresh"}));
  ClusterSettings cluster;
  CK_TRY(read_text(table, where, "id", cluster.id));
  CK_TRY(read_text(table, where, "host", cluster.host));
  CK_TRY(read_text(table, where, "authority", cluster.authority));
  CK_TRY(read_text(table, where, "address", cluster.address));
  CK_TRY(read_text(table, where, "listen", cluster.listen));
  CK_TRY(read_text(table, where, "peers_from", cluster.peers_from));
  CK_TRY(read_duration(table, where, "certificate_lifetime", cluster.certificate_lifetime));
  CK_TRY(read_duration(table, where, "refresh", cluster.refresh));
  CK_TRY(check_value(table, where, "id", check_id(cluster.id)));
  CK_TRY(check_value(table, where, "host", protocol::check_host_name(cluster.host)));
  CK_TRY(check_value(table, where, "authority", protocol::check_host_name(cluster.authority)));
  CK_TRY(check_value(table, where, "address", protocol::check_address(cluster.address)));
  CK_TRY(check_value(table, where, "listen", protocol::check_address(cluster.listen)));
  return cluster;
}

Status read_metrics(const toml::table& table, const std::string& where, Settings& settings) {
  CK_TRY(check_keys(table, where, {"listen"}));
  CK_TRY(read_text(table, where, "listen", settings.metrics_listen));
  return check_value(table, where, "listen", protocol::check_address(settings.metrics_listen));
}

Status read_limits(const toml::table& table, const std::string& where, Settings& settings) {
  CK_TRY(check_keys(table, where,
                    {"connections", "connections_per_peer", "handshake", "answer", "idle"}));
  CK_TRY(read_number(table, where, "connections", 1, 65536, settings.connections));
  CK_TRY(
      read_number(table, where, "connections_per_peer", 1, 65536, settings.connections_per_peer));
  CK_TRY(read_duration(table, where, "handshake", settings.handshake_timeout));
  CK_TRY(read_duration(table, where, "answer", settings.answer_timeout));
  return read_duration(table, where, "idle", settings.idle_timeout);
}

Status read_migration(const toml::table& table, const std::string& where,
                      MigrationSettings& migration) {
  CK_TRY(check_keys(table, where, {"retry", "patience", "lease", "bandwidth", "at_once"}));
  CK_TRY(read_duration(table, where, "retry", migration.retry));
  CK_TRY(read_duration(table, where, "patience", migration.patience));
  CK_TRY(read_duration(table, where, "lease", migration.lease));
  CK_TRY(read_number(table, where, "at_once", 1, 64, migration.at_once));
  std::string rate;
  CK_TRY(read_text(table, where, "bandwidth", rate));
  if (rate.empty()) return {};
  Result<std::uint64_t> parsed = job::parse_rate(rate);
  if (parsed.ok()) migration.bandwidth = *parsed;
  return check_value(table, where, "bandwidth", parsed.ok() ? Status() : Status(parsed.error()));
}

Status read_mode(const toml::table& table, const std::string& where, std::string_view key,
                 driver::Mode& mode) {
  unsigned number = static_cast<unsigned>(mode);
  CK_TRY(read_number(table, where, key, 0, 2, number));
  mode = static_cast<driver::Mode>(number);
  if (mode != driver::Mode::kKernel) return {};
  return toml_error(where, *table.get(key),
                    std::string(key) +
                        " 1 (by the kernel) is not available: ckrun works without kernel support; "
                        "write 2 (by the user's program ckpt) or 0 (none)");
}

// `job_class`: what is not said stays.
Status read_class(const toml::table& table, const std::string& where, const std::string& name,
                  driver::JobClass& job_class) {
  CK_TRY(check_keys(table, where,
                    {"loadsched", "loadcheckpoint", "loadstop", "checkpointmode", "restartmode",
                     "minimum_stay"}));
  CK_TRY(read_real(table, where, "loadsched", job_class.loadsched));
  CK_TRY(read_real(table, where, "loadcheckpoint", job_class.loadcheckpoint));
  CK_TRY(read_real(table, where, "loadstop", job_class.loadstop));
  CK_TRY(read_mode(table, where, "checkpointmode", job_class.checkpointmode));
  CK_TRY(read_mode(table, where, "restartmode", job_class.restartmode));
  CK_TRY(read_duration(table, where, "minimum_stay", job_class.minimum_stay));
  const Status sound = driver::check(name, job_class);
  return sound.ok() ? Status() : Status(toml_error(where, table, sound.error().text()));
}

// The section of that name; nullptr if it is absent.
Result<const toml::table*> section(const toml::table& root, const std::string& where,
                                   std::string_view name) {
  const toml::node* node = root.get(name);
  if (node == nullptr) return static_cast<const toml::table*>(nullptr);
  if (!node->is_table()) {
    return toml_error(where, *node, std::string(name) + " must be written as a section");
  }
  return node->as_table();
}

// [class.NAME]; what a class does not say is as in [class.default].
Status read_classes(const toml::table& table, const std::string& where,
                    driver::JobClasses& classes) {
  driver::JobClass& usual = classes[job::kDefaultClass];
  if (const toml::table* own = CK_TRY(section(table, where, job::kDefaultClass)))
    CK_TRY(read_class(*own, where, job::kDefaultClass, usual));
  for (auto&& [key, node] : table) {
    const std::string name(key.str());
    if (name == job::kDefaultClass) continue;
    const Result<std::string> valid = job::parse_job_class(name);
    if (!valid.ok()) return toml_error(where, node, valid.error().text());
    driver::JobClass job_class = usual;
    CK_TRY(read_class(*CK_TRY(section(table, where, name)), where, name, job_class));
    classes[name] = job_class;
  }
  return {};
}

Status read_balance(const toml::table& table, const std::string& where, BalanceSettings& balance) {
  CK_TRY(check_keys(table, where, {"enabled", "period", "margin", "at_once", "load_file"}));
  CK_TRY(read_flag(table, where, "enabled", balance.enabled));
  CK_TRY(read_duration(table, where, "period", balance.period));
  CK_TRY(read_real(table, where, "margin", balance.options.margin));
  CK_TRY(read_number(table, where, "at_once", 1, 64, balance.options.moves_at_once));
  CK_TRY(read_text(table, where, "load_file", balance.load_file));
  if (balance.load_file.empty() || balance.load_file.starts_with('/')) return {};
  return toml_error(where, *table.get("load_file"), "load_file must be an absolute path");
}

}  // namespace

Result<Settings> parse_settings(std::string_view text, const std::string& where) {
  toml::table root = CK_TRY(parse_toml(text, where));
  CK_TRY(
      check_keys(root, where, {"cluster", "migration", "balance", "class", "metrics", "limits"}));
  Settings settings;
  if (const toml::table* table = CK_TRY(section(root, where, "cluster"))) {
    settings.cluster = CK_TRY(read_cluster(*table, where));
  }
  if (const toml::table* table = CK_TRY(section(root, where, "migration"))) {
    CK_TRY(read_migration(*table, where, settings.migration));
  }
  if (const toml::table* table = CK_TRY(section(root, where, "balance"))) {
    CK_TRY(read_balance(*table, where, settings.balance));
  }
  if (const toml::table* table = CK_TRY(section(root, where, "class"))) {
    CK_TRY(read_classes(*table, where, settings.balance.classes));
  }
  if (const toml::table* table = CK_TRY(section(root, where, "metrics"))) {
    CK_TRY(read_metrics(*table, where, settings));
  }
  if (const toml::table* table = CK_TRY(section(root, where, "limits"))) {
    CK_TRY(read_limits(*table, where, settings));
  }
  return settings;
}

std::string settings_text(const ClusterSettings& cluster) {
  return R"(# Settings of ckd. Times are written as "30s", "10m", "1h30m" or "365d".
# After a change: kill -HUP the daemon, or systemctl reload ckd; "listen" needs a restart.
# A line that begins with # shows the default, unless it says "an example". More: man ckd.

[cluster]
id = ")" +
         cluster.id + R"("
host = ")" +
         cluster.host + R"("              # this host's name; its certificate carries it
authority = ")" +
         cluster.authority +
         R"("         # the host that has the CA: peers and revocations come from it
address = ")" +
         cluster.address + R"("     # where the other hosts reach this one
listen = ")" +
         cluster.listen + R"("
# peers_from = "slurm"                # an example (default: none): hosts besides those of peers.toml:
#                                     # "slurm", "gridengine" or a file
# certificate_lifetime = "365d"       # of certificates that this host's CA signs; renewed after two thirds
# refresh = "60s"                     # how often the authority is asked for news

# [migration]
# retry = "1s"                        # how often a host that does not answer is asked again
# patience = "1h"                     # how long a job's way to another host may take
# lease = "10m"                       # an example (default: never): a host that has a job whole, and
#                                     # has heard nothing of where it came from for this long, runs it.
#                                     # Without it an administrator must decide: ckpt resolve. Alike on
#                                     # all hosts
# bandwidth = "100M"                  # an example (default: no limit): bytes a second that one job's
#                                     # way may take
# at_once = 4                         # jobs that come or go at the same time

# Jobs move by load. Each host decides for its own; loads are runnable tasks for each processor.
# [balance]
# enabled = true                      # an example (default: false): jobs move by themselves; else only
#                                     # when somebody says ckpt migrate --auto
# period = "15s"                      # between two looks
# margin = 0.25                       # by which the load must be lower there, with the job
# at_once = 1                         # jobs that leave this host by load at the same time
# load_file = "/run/load"             # an example (default: none): tells the load, of all processors,
#                                     # instead of the kernel: a number, or what /proc/loadavg has; on a
#                                     # local file system

# What holds for the jobs of a class (ckrun --class NAME); the names are those of GNU Queue's profile.
# Other classes are as this one where they say nothing else.
# [class.default]
# loadsched = 1.0                     # at or above it this host takes no job
# loadcheckpoint = 1.5                # at or above it a job is moved away
# loadstop = 4.0                      # at or above it jobs stand still until it is below loadsched
# checkpointmode = 2                  # 2: jobs may be moved; 0: they stay; 1, by the kernel: not here
# restartmode = 2                     # 2: jobs that come by load are taken; 0: they are not
# minimum_stay = "5m"                 # on a host, before the load moves a job again

# Prometheus metrics at /metrics and the health of ckd at /healthz. Only for local addresses.
# [metrics]
# listen = "127.0.0.1:9381"           # an example (default: none)

# [limits]
# connections = 256                   # of all peers at once
# connections_per_peer = 16           # of one address at once
# handshake = "5s"                    # a peer that takes longer is cut off
# answer = "5s"
# idle = "30s"
)";
}

Result<Settings> read_settings(const std::string& folder) {
  std::string path = folder + "/" + kSettingsFile;
  Result<std::string> text = read_trusted(path);
  if (!text.ok() && text.error().errnum == ENOENT) return Settings();
  if (!text.ok()) return std::move(text).error();
  return parse_settings(*text, path);
}

}  // namespace ck::cluster
