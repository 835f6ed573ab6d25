#include "driver/cluster/peers.h"

#include <algorithm>

#include "driver/cluster/secrets.h"
#include "driver/cluster/toml.h"
#include "driver/protocol/check.h"
#include "runtime/job/small_file.h"

namespace ck::cluster {
namespace {

constexpr char kHeading[] =
    R"(# The other hosts of this cluster, and where their ckd listens. One entry looks like this:
#
#   [[peer]]
#   name = "node7"                     # as in its certificate
#   address = "node7.example.org:7381"
#
# ckd adds the hosts that join, and follows their addresses. What else you write here stays. After a
# change: kill -HUP the daemon, or systemctl reload ckd.
)";

// Parses and finds the entries; the views into the table hold while it lives.
struct Entry {
  Peer peer;
  std::size_t first_line = 0, address_line = 0, last_line = 0;  // from 1
};

Result<Entry> read_entry(const toml::node& node, const std::string& where) {
  const toml::table* table = node.as_table();
  if (table == nullptr) return toml_error(where, node, "peer must be written as [[peer]]");
  CK_TRY(check_keys(*table, where, {"name", "address"}));
  Entry entry;
  CK_TRY(read_text(*table, where, "name", entry.peer.name));
  CK_TRY(read_text(*table, where, "address", entry.peer.address));
  if (!protocol::check_host_name(entry.peer.name).ok()) {
    return toml_error(where, node, "the peer needs a name of letters, digits, '-', '.' and '_'");
  }
  Status address = protocol::check_address(entry.peer.address);
  if (!address.ok()) return toml_error(where, node, address.error().text());
  entry.first_line = node.source().begin.line;
  entry.address_line = table->get("address")->source().begin.line;
  entry.last_line =
      std::max<std::size_t>(entry.address_line, table->get("name")->source().begin.line);
  return entry;
}

Result<std::vector<Entry>> read_entries(std::string_view text, const std::string& where) {
  toml::table table = CK_TRY(parse_toml(text, where));
  CK_TRY(check_keys(table, where, {"peer"}));
  std::vector<Entry> entries;
  const toml::node* list = table.get("peer");
  if (list == nullptr) return entries;
  if (!list->is_array()) return toml_error(where, *list, "peer must be written as [[peer]]");
  for (const toml::node& node : *list->as_array()) {
    Entry entry = CK_TRY(read_entry(node, where));
    auto same = [&](const Entry& other) { return other.peer.name == entry.peer.name; };
    if (std::any_of(entries.begin(), entries.end(), same)) {
      return toml_error(where, node, "there are two peers with the name " + entry.peer.name);
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

std::string address_line(const Peer& peer) {
  return "address = \"" + peer.address + "\"";
}

// ckd's own form, a key a line. Others are left to the administrator.
bool can_be_edited(const Entry& entry, const std::vector<std::string>& lines) {
  return entry.last_line <= lines.size() && entry.address_line > entry.first_line &&
         entry.last_line == entry.first_line + 2 &&
         lines[entry.address_line - 1].starts_with("address");
}

Result<std::string> current_text(const std::string& folder) {
  Result<std::string> text = read_trusted(folder + "/" + kPeersFile);
  if (!text.ok() && text.error().errnum == ENOENT) return new_peers_text();
  return text;
}

}  // namespace

std::string new_peers_text() {
  return kHeading;
}

Result<std::vector<Peer>> parse_peers(std::string_view text, const std::string& where) {
  std::vector<Peer> peers;
  for (Entry& entry : CK_TRY(read_entries(text, where))) peers.push_back(std::move(entry.peer));
  return peers;
}

Result<std::string> with_peer(std::string text, const Peer& peer) {
  for (const Entry& entry : CK_TRY(read_entries(text, kPeersFile))) {
    if (entry.peer.name != peer.name) continue;
    std::vector<std::string> lines = lines_of(text);
    if (entry.peer == peer || !can_be_edited(entry, lines)) return text;
    lines[entry.address_line - 1] = address_line(peer);
    return joined(lines);
  }
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return text + "\n[[peer]]\nname = \"" + peer.name + "\"\n" + address_line(peer) + "\n";
}

Result<std::string> without_peer(std::string text, const std::string& name) {
  for (const Entry& entry : CK_TRY(read_entries(text, kPeersFile))) {
    std::vector<std::string> lines = lines_of(text);
    if (entry.peer.name != name || !can_be_edited(entry, lines)) continue;
    auto first = lines.begin() + static_cast<std::ptrdiff_t>(entry.first_line) - 1;
    lines.erase(first, first + 3);
    return joined(lines);
  }
  return text;
}

Result<std::vector<Peer>> read_peers(const std::string& folder) {
  return parse_peers(CK_TRY(current_text(folder)), folder + "/" + kPeersFile);
}

Status remember_peers(const std::string& folder, const std::vector<Peer>& peers) {
  std::string before = CK_TRY(current_text(folder)), text = before;
  for (const Peer& peer : peers) text = CK_TRY(with_peer(std::move(text), peer));
  if (text == before) return {};
  return job::replace_file(folder + "/" + kPeersFile, text);
}

Status forget_peer(const std::string& folder, const std::string& name) {
  std::string before = CK_TRY(current_text(folder));
  std::string text = CK_TRY(without_peer(before, name));
  return text == before ? Status() : job::replace_file(folder + "/" + kPeersFile, text);
}

}  // namespace ck::cluster
