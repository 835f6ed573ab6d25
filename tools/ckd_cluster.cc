// ckd init, invite, join and revoke: who belongs to the cluster.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>

#include "driver/client/client.h"
#include "driver/cluster/authority.h"
#include "driver/cluster/secrets.h"
#include "driver/daemon/join.h"
#include "runtime/job/host.h"
#include "runtime/job/settings.h"
#include "runtime/job/small_file.h"
#include "tools/ckd.h"
#include "tools/cli.h"

namespace ck::tools {
namespace {

constexpr std::chrono::milliseconds kPatience{10000};
constexpr std::size_t kLongestToken = 4096;

struct MemberOptions {
  std::string config;
  cluster::ClusterSettings cluster;
  bool force = false;
  std::string token_file = "-";
};

// What was not named follows from the host's name.
Status complete(cluster::ClusterSettings& cluster) {
  std::string port = std::to_string(cluster::kDefaultPort);
  if (cluster.host.empty()) cluster.host = CK_TRY(job::this_host()).name;
  if (cluster.address.empty()) cluster.address = cluster.host + ":" + port;
  if (cluster.listen.empty()) {
    cluster.listen = "0.0.0.0" + cluster.address.substr(cluster.address.rfind(':'));
  }
  return {};
}

void add_member_options(CLI::App& sub, MemberOptions& options) {
  add_config(sub, options.config);
  sub.add_option("--host", options.cluster.host,
                 "This host's name in the cluster (default: its hostname)")
      ->type_name("NAME");
  sub.add_option("--address", options.cluster.address,
                 "Where the others reach this host (default: NAME:7381)")
      ->type_name("HOST:PORT");
  sub.add_option("--listen", options.cluster.listen,
                 "Where ckd listens (default: 0.0.0.0 and the port of --address)")
      ->type_name("IP:PORT");
}

// The user's daemon, if one runs, shall know at once. False if none does: only root's, perhaps,
// which is none of an ordinary user's business.
Result<bool> reload_daemon() {
  protocol::wire::ControlRequest request;
  request.mutable_reload();
  auto reply = client::ask_daemon(std::move(request), kPatience);
  if (reply.ok()) return true;
  ErrorKind kind = reply.error().kind;
  if (kind == ErrorKind::kNotFound || kind == ErrorKind::kPermission) return false;
  return std::move(reply).error().within("ckd does not reload");
}

Result<int> init(MemberOptions options) {
  std::string folder = CK_TRY(cluster::config_folder(options.config));
  CK_TRY(complete(options.cluster));
  CK_TRY(cluster::make_cluster(folder, options.cluster));
  bool runs = CK_TRY(reload_daemon());
  std::printf("made a cluster with host %s in %s%s; for the next host: ckd invite\n",
              options.cluster.host.c_str(), folder.c_str(), runs ? "" : "; start ckd");
  return 0;
}

// From a file or standard input: a command line would show it to every user of the host.
Result<std::string> read_token(const std::string& file) {
  if (file != "-") return job::read_small_file(file, kLongestToken);
  if (isatty(STDIN_FILENO)) std::fprintf(stderr, "the invitation, then Enter: ");
  std::string line;
  std::getline(std::cin, line);
  return line.substr(0, kLongestToken);
}

Result<int> join(MemberOptions options) {
  std::string folder = CK_TRY(cluster::config_folder(options.config));
  CK_TRY(complete(options.cluster));
  cluster::Token token = CK_TRY(cluster::parse_token(CK_TRY(read_token(options.token_file))));
  CK_TRY(daemon::join_cluster(folder, token, options.cluster, options.force));
  bool runs = CK_TRY(reload_daemon());
  std::printf("joined the cluster of host %s as %s%s\n", token.host.c_str(),
              options.cluster.host.c_str(), runs ? "" : "; start ckd");
  return 0;
}

// Invitations end at a whole second.
Result<std::chrono::milliseconds> parse_validity(std::string_view text) {
  const std::chrono::milliseconds valid = CK_TRY(job::parse_duration(text));
  if (valid >= std::chrono::seconds(1)) return valid;
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is too short to join in",
                    "write 1s or more");
}

struct InviteOptions {
  std::string config;
  std::chrono::milliseconds valid = std::chrono::hours(1);
  std::string file;
};

Status write_token(const std::string& token, const std::string& file) {
  if (file.empty()) {
    std::printf("%s\n", token.c_str());
    return std::fflush(stdout) == 0 ? Status() : sys_error("write the invitation");
  }
  UniqueFd fd(open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return sys_error("create " + file);
  std::string line = token + "\n";
  bool whole = write(fd.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size());
  return whole ? Status() : sys_error("write " + file);
}

Result<int> invite(const InviteOptions& options) {
  std::string folder = CK_TRY(cluster::config_folder(options.config));
  cluster::Authority authority = CK_TRY(cluster::Authority::open(folder));
  cluster::Token token =
      CK_TRY(authority.invite(std::chrono::duration_cast<std::chrono::seconds>(options.valid)));
  CK_TRY(write_token(cluster::format_token(token), options.file));
  std::fprintf(stderr, "ckd: good for one host, for %s, while ckd runs here\n",
               job::format_duration(options.valid).c_str());
  return 0;
}

Result<int> revoke(const std::string& config, const std::string& host) {
  std::string folder = CK_TRY(cluster::config_folder(config));
  cluster::Authority authority = CK_TRY(cluster::Authority::open(folder));
  CK_TRY(authority.revoke(host));
  CK_TRY(reload_daemon());
  return 0;
}

}  // namespace

void declare_init(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("init", "Make a cluster, with this host as its first");
  auto options = std::make_shared<MemberOptions>();
  add_member_options(*sub, *options);
  sub->callback([options, &action] { action = [options] { return init(*options); }; });
}

void declare_invite(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("invite", "Print an invitation with which one host can join");
  auto options = std::make_shared<InviteOptions>();
  add_config(*sub, options->config);
  add_parsed(*sub, "--valid", options->valid, parse_validity, "TIME",
             "How long it is good (default: 1h)");
  sub->add_option("--output,-o", options->file, "Write it to a new file, mode 0600")
      ->type_name("FILE");
  sub->callback([options, &action] { action = [options] { return invite(*options); }; });
}

void declare_join(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("join", "Enter a cluster, by an invitation");
  auto options = std::make_shared<MemberOptions>();
  add_member_options(*sub, *options);
  sub->add_flag("--force", options->force,
                "Also if this host belongs to a cluster, which it leaves");
  sub->add_option("FILE", options->token_file, "The invitation (default: standard input)");
  sub->callback([options, &action] { action = [options] { return join(*options); }; });
}

void declare_revoke(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("revoke", "Refuse a host's certificates from now on");
  struct Options {
    std::string config, host;
  };
  auto options = std::make_shared<Options>();
  add_config(*sub, options->config);
  sub->add_option("HOST", options->host, "The host")->required();
  sub->callback([options, &action] {
    action = [options] { return revoke(options->config, options->host); };
  });
}

}  // namespace ck::tools
