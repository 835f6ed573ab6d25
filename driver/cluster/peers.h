// peers.toml: the other hosts of the cluster and where they are. Written by ckd, with comments, and
// changed in place: what the administrator wrote into it stays. The text functions are pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace ck::cluster {

struct Peer {
  std::string name;
  std::string address;  // host:port
  bool operator==(const Peer&) const = default;
};

std::string new_peers_text();  // comments only

// `where` is named in errors. Names are unique.
Result<std::vector<Peer>> parse_peers(std::string_view text, const std::string& where);

// `text` with that peer's entry added, or its address changed, or its entry removed.
Result<std::string> with_peer(std::string text, const Peer& peer);
Result<std::string> without_peer(std::string text, const std::string& name);

inline constexpr char kPeersFile[] = "peers.toml";
// An absent file has no peers.
Result<std::vector<Peer>> read_peers(const std::string& folder);
// Writes only what changes; the folder's lock must be held.
Status remember_peers(const std::string& folder, const std::vector<Peer>& peers);
Status forget_peer(const std::string& folder, const std::string& name);

}  // namespace ck::cluster
