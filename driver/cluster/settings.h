// ckd.toml: what the administrator can choose. Written once, with comments, by ckd init and ckd
// join; only people change it afterwards. Parsing is pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "driver/policy/balance.h"
#include "runtime/base/result.h"

namespace ck::cluster {

struct ClusterSettings {
  std::string id;          // of the cluster
  std::string host;        // this host's name in it
  std::string authority;   // the host with the CA, from which peers and revocations are taken
  std::string address;     // where the others reach this host
  std::string listen;      // where ckd listens
  std::string peers_from;  // besides peers.toml: "gridengine", "slurm", a file, or empty
  std::chrono::seconds certificate_lifetime{std::chrono::hours(24 * 365)};  // that the CA gives
  std::chrono::seconds refresh{60};  // how often the authority is asked for news
};

// How jobs come and go.
struct MigrationSettings {
  std::chrono::milliseconds retry{1000};  // until something is told or asked once more
  std::chrono::milliseconds patience{std::chrono::hours(1)};  // with a hand-over before its commit
  std::chrono::milliseconds lease{
      0};                       // without a word of the source a target takes the job; 0: never
  std::uint64_t bandwidth = 0;  // bytes a second of each transfer; 0: no limit
  unsigned at_once = 4;         // hand-overs
};

// How the load moves jobs.
struct BalanceSettings {
  bool enabled = false;                     // without anybody's asking
  std::chrono::milliseconds period{15000};  // between two looks
  driver::BalanceOptions options;
  std::string load_file;  // tells the load average, of all processors; empty: the kernel does
  driver::JobClasses classes{{"default", {}}};
};

struct Settings {
  std::optional<ClusterSettings> cluster;  // none: no port is opened
  MigrationSettings migration;
  BalanceSettings balance;
  std::string metrics_listen;          // empty: no metrics
  unsigned connections = 256;          // at once, of all peers
  unsigned connections_per_peer = 16;  // at once, of one address
  std::chrono::milliseconds handshake_timeout{5000};
  std::chrono::milliseconds answer_timeout{5000};  // for a peer's whole answer
  std::chrono::milliseconds idle_timeout{30000};   // between two questions of a peer
};

inline constexpr char kSettingsFile[] = "ckd.toml";
inline constexpr unsigned short kDefaultPort = 7381;

Result<Settings> parse_settings(std::string_view text, const std::string& where);
// With comments, for a new file.
std::string settings_text(const ClusterSettings& cluster);
// An absent file is as an empty one.
Result<Settings> read_settings(const std::string& folder);

}  // namespace ck::cluster
