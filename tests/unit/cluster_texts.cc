// What people and batch systems write: settings, peers, tokens, lists of hosts.
#include <boost/test/unit_test.hpp>
#include <regex>
#include <sstream>

#include "driver/cluster/batch_hosts.h"
#include "driver/cluster/peers.h"
#include "driver/cluster/settings.h"
#include "driver/cluster/token.h"

namespace {

using namespace ck;
using namespace ck::cluster;
using Names = std::vector<std::string>;

bool says(const Error& error, const std::string& text) {
  return error.text().find(text) != std::string::npos;
}

Token some_token() {
  Token token{"[fd00::1]:7381", "head-1", std::string(32, '\x07'), {}};
  token.seed.fill(0xee);
  return token;
}

BOOST_AUTO_TEST_SUITE(cluster_texts)

BOOST_AUTO_TEST_CASE(a_token_goes_and_comes) {
  std::string text = format_token(some_token());
  BOOST_TEST(text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789-_.") == std::string::npos);
  for (const std::string& form : {text, "  " + text + "\r\n"}) {
    Result<Token> token = parse_token(form);
    BOOST_REQUIRE(token.ok());
    BOOST_TEST(token->address == "[fd00::1]:7381");
    BOOST_TEST(token->host == "head-1");
    BOOST_TEST(token->authority == some_token().authority);
    BOOST_TEST((token->seed == some_token().seed));
  }
  for (std::size_t length : {1u, 2u, 3u}) {  // names of all lengths fill the last group otherwise
    Token token = some_token();
    token.host = std::string(length, 'h');
    BOOST_TEST(parse_token(format_token(token))->host == token.host);
  }
}

BOOST_AUTO_TEST_CASE(a_token_with_a_mistake_is_noticed) {
  const std::string good = format_token(some_token());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    BOOST_TEST(!parse_token(bad).ok(), i);
    BOOST_TEST(!parse_token(good.substr(0, i)).ok(), i);
  }
}

BOOST_AUTO_TEST_CASE(peers_are_added_and_changed_in_place) {
  std::string text = new_peers_text();
  BOOST_TEST(parse_peers(text, "x")->empty());
  text = *with_peer(text, {"b", "b:1"});
  text += "# a word of the administrator\n";
  text = *with_peer(text, {"c", "c:1"});
  text = *with_peer(text, {"b", "b:2"});
  std::vector<Peer> expected{{"b", "b:2"}, {"c", "c:1"}};
  BOOST_TEST((*parse_peers(text, "x") == expected));
  BOOST_TEST(text.find("# a word of the administrator") != std::string::npos);
  BOOST_TEST(*with_peer(text, {"b", "b:2"}) == text);
  text = *without_peer(text, "b");
  expected.erase(expected.begin());
  BOOST_TEST((*parse_peers(text, "x") == expected));
  BOOST_TEST(text.find("# a word of the administrator") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(peers_in_another_form_are_left_alone) {
  std::string text = "peer = [ { name = \"b\", address = \"b:1\" } ]\n";
  BOOST_TEST(*with_peer(text, {"b", "b:2"}) == text);
  BOOST_TEST(*without_peer(text, "b") == text);
}

BOOST_AUTO_TEST_CASE(bad_peers_are_named_by_line) {
  BOOST_TEST(says(parse_peers("[[peer]]\nname = 1\n", "p.toml").error(), "p.toml, line 2"));
  BOOST_TEST(says(parse_peers("[[peer]]\nname = \"b\"\n", "p.toml").error(), "p.toml, line 1"));
  BOOST_TEST(says(parse_peers("[[peer]\n", "p.toml").error(), "p.toml, line 1"));
  BOOST_TEST(says(parse_peers("\npeers = 1\n", "p.toml").error(), "no setting 'peers'"));
  std::string twice = *with_peer("", {"b", "b:1"});
  BOOST_TEST(says(parse_peers(twice + twice, "p.toml").error(), "two peers"));
}

ClusterSettings some_cluster() {
  ClusterSettings cluster;
  cluster.id = "0123456789abcdef";
  cluster.host = "a";
  cluster.authority = "head";
  cluster.address = "a.example:7381";
  cluster.listen = "0.0.0.0:7381";
  return cluster;
}

BOOST_AUTO_TEST_CASE(the_written_settings_are_read) {
  Settings settings = *parse_settings(settings_text(some_cluster()), "ckd.toml");
  BOOST_REQUIRE(settings.cluster.has_value());
  BOOST_TEST(settings.cluster->id == "0123456789abcdef");
  BOOST_TEST(settings.cluster->authority == "head");
  BOOST_TEST(settings.cluster->address == "a.example:7381");
  BOOST_TEST(settings.metrics_listen.empty());
}

BOOST_AUTO_TEST_CASE(what_the_comments_offer_can_be_set) {
  std::string text = settings_text(some_cluster());
  for (const char* line : {"# [", "# listen =", "# connections", "# handshake", "# answer",
                           "# idle", "# peers_from", "# refresh", "# certificate"}) {
    for (std::size_t at = text.find(line); at != std::string::npos; at = text.find(line, at + 1)) {
      text.erase(at, 2);
    }
  }
  Result<Settings> settings = parse_settings(text, "ckd.toml");
  BOOST_REQUIRE_MESSAGE(settings.ok(), (settings.ok() ? "" : settings.error().text()));
  BOOST_TEST(settings->metrics_listen == "127.0.0.1:9381");
  BOOST_TEST(settings->connections == 256u);
  BOOST_TEST(settings->cluster->peers_from == "slurm");
  BOOST_TEST((settings->idle_timeout == std::chrono::seconds(30)));
}

// What stands behind "# " in a new ckd.toml, but for what is called an example there, and for
// [metrics], which has nothing else.
std::string with_shown_defaults(const std::string& text) {
  static const std::regex kSetting(R"(# (\[(?!metrics)[a-z.]+\]|[a-z_]+ = .*))");
  std::istringstream lines(text);
  std::string shown;
  for (std::string line; std::getline(lines, line);) {
    const bool is_default =
        std::regex_match(line, kSetting) && line.find("an example") == std::string::npos;
    shown += line.substr(is_default ? 2 : 0) + "\n";
  }
  return shown;
}

BOOST_AUTO_TEST_CASE(values_in_comments_are_the_defaults_or_called_examples) {
  const std::string text = with_shown_defaults(settings_text(some_cluster()));
  BOOST_TEST(text.find("\nretry = ") != std::string::npos);
  BOOST_TEST(text.find("\nlease = ") == std::string::npos);
  const Settings shown = *parse_settings(text, "ckd.toml");
  const Settings usual;
  BOOST_TEST((shown.cluster->certificate_lifetime == ClusterSettings().certificate_lifetime));
  BOOST_TEST((shown.cluster->refresh == ClusterSettings().refresh));
  BOOST_TEST(shown.cluster->peers_from.empty());
  BOOST_TEST((shown.migration.retry == usual.migration.retry));
  BOOST_TEST((shown.migration.patience == usual.migration.patience));
  BOOST_TEST((shown.migration.lease == usual.migration.lease));
  BOOST_TEST(shown.migration.bandwidth == usual.migration.bandwidth);
  BOOST_TEST(shown.migration.at_once == usual.migration.at_once);
  BOOST_TEST(shown.balance.enabled == usual.balance.enabled);
  BOOST_TEST((shown.balance.period == usual.balance.period));
  BOOST_TEST(shown.balance.options.margin == usual.balance.options.margin);
  BOOST_TEST(shown.balance.options.moves_at_once == usual.balance.options.moves_at_once);
  BOOST_TEST(shown.balance.load_file.empty());
  const driver::JobClass& its = shown.balance.classes.at("default");
  const driver::JobClass ours;
  BOOST_TEST(its.loadsched == ours.loadsched);
  BOOST_TEST(its.loadcheckpoint == ours.loadcheckpoint);
  BOOST_TEST(its.loadstop == ours.loadstop);
  BOOST_TEST((its.checkpointmode == ours.checkpointmode && its.restartmode == ours.restartmode));
  BOOST_TEST((its.minimum_stay == ours.minimum_stay));
  BOOST_TEST(shown.metrics_listen.empty());
  BOOST_TEST(shown.connections == usual.connections);
  BOOST_TEST(shown.connections_per_peer == usual.connections_per_peer);
  BOOST_TEST((shown.handshake_timeout == usual.handshake_timeout));
  BOOST_TEST((shown.answer_timeout == usual.answer_timeout));
  BOOST_TEST((shown.idle_timeout == usual.idle_timeout));
}

BOOST_AUTO_TEST_CASE(mistakes_in_settings_are_named_by_line) {
  BOOST_TEST(!parse_settings("", "s").value().cluster.has_value());
  BOOST_TEST(says(parse_settings("[limits]\nconections = 1\n", "s").error(),
                  "s, line 2: there is no setting 'conections'"));
  BOOST_TEST(says(parse_settings("[limits]\nconnections = 0\n", "s").error(), "line 2"));
  BOOST_TEST(says(parse_settings("[limits]\nidle = 3\n", "s").error(), "line 2"));
  BOOST_TEST(says(parse_settings("[limits]\nidle = \"0s\"\n", "s").error(), "line 2"));
  BOOST_TEST(says(parse_settings("cluster = 1\n", "s").error(), "section"));
  BOOST_TEST(!parse_settings("[cluster]\n", "s").ok());
}

BOOST_AUTO_TEST_CASE(hosts_of_grid_engine) {
  constexpr char kText[] =
      "HOSTNAME                ARCH         NCPU NSOC NCOR NTHR NLOAD  MEMTOT  MEMUSE\n"
      "-------------------------------------------------------------------------------\n"
      "global                  -               -    -    -    -     -       -       -\n"
      "node1.example           lx-amd64        4    1    4    4  0.01   15.5G  600.0M\n"
      "node2                   lx-amd64        4    1    4    4     -   15.5G       -\n";
  BOOST_TEST((*parse_qhost(kText) == Names{"node1.example", "node2"}));
  BOOST_TEST(says(parse_qhost("error: commlib error\n").error(), "commlib"));
}

BOOST_AUTO_TEST_CASE(hosts_of_slurm) {
  BOOST_TEST((*parse_sinfo("node1\nnode2\nnode1\n") == Names{"node1", "node2"}));
  constexpr char kNodes[] =
      "NODELIST   NODES PARTITION STATE\n"
      "node1          1    debug* idle\n";
  BOOST_TEST((*parse_sinfo(kNodes) == Names{"node1"}));
  constexpr char kPartitions[] =
      "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST\n"
      "debug*       up   infinite      4   idle node[08-10],login\n"
      "big          up   infinite      1  down* gpu[1,3]-ib\n";
  BOOST_TEST((*parse_sinfo(kPartitions) ==
              Names{"node08", "node09", "node10", "login", "gpu1-ib", "gpu3-ib"}));
  for (const char* bad : {"node[1-\n", "node[2-1]\n", "node[1-99999999]\n", "node]1[\n"}) {
    BOOST_TEST(!parse_sinfo(bad).ok(), bad);
  }
}

BOOST_AUTO_TEST_CASE(hosts_of_a_file) {
  BOOST_TEST((*parse_host_file("# all\nb\n\n  c  # the third\n") == Names{"b", "c"}));
  BOOST_TEST(!parse_host_file("b c\n").ok());
}

BOOST_AUTO_TEST_CASE(classes_of_jobs) {
  const Settings usual = *parse_settings("", "s");
  BOOST_TEST(!usual.balance.enabled);
  BOOST_TEST(usual.balance.classes.size() == 1u);
  const Result<Settings> read = parse_settings(
      "[class.night]\nloadstop = 9\nrestartmode = 0\n"
      "[class.default]\nloadsched = 0.5\nloadcheckpoint = 2\nminimum_stay = \"1m\"\n"
      "[balance]\nenabled = true\nperiod = \"3s\"\nmargin = 0\nat_once = 2\n"
      "load_file = \"/run/load\"\n",
      "s");
  BOOST_REQUIRE(read.ok());
  const BalanceSettings& balance = read->balance;
  BOOST_TEST(balance.enabled);
  BOOST_TEST(balance.period.count() == 3000);
  BOOST_TEST(balance.options.margin == 0);
  BOOST_TEST(balance.options.moves_at_once == 2u);
  BOOST_TEST(balance.load_file == "/run/load");
  // What a class does not say is as in the default one, wherever that stands.
  const driver::JobClass& night = balance.classes.at("night");
  BOOST_TEST(night.loadsched == 0.5);
  BOOST_TEST(night.loadcheckpoint == 2);
  BOOST_TEST(night.loadstop == 9);
  BOOST_TEST(night.minimum_stay.count() == 60);
  BOOST_TEST((night.restartmode == driver::Mode::kNone));
  BOOST_TEST((balance.classes.at("default").restartmode == driver::Mode::kUser));
}

BOOST_AUTO_TEST_CASE(mistakes_in_classes_are_named_by_line) {
  const std::pair<const char*, std::vector<const char*>> mistakes[] = {
      {"[class.x]\nloadshed = 1\n", {"s, line 2", "no setting 'loadshed'"}},
      {"\n[class.x]\nloadsched = 2\n", {"s, line 2", "class x", "loadsched"}},
      {"[class.x]\nloadstop = 1.5\n", {"s, line 1", "loadcheckpoint must be below loadstop"}},
      {"[class.x]\ncheckpointmode = 1\n", {"s, line 2", "checkpointmode 1", "kernel"}},
      {"[class.x]\nrestartmode = 1\n", {"s, line 2", "restartmode 1", "kernel"}},
      {"[class.x]\ncheckpointmode = 3\n", {"s, line 2", "from 0 to 2"}},
      {"[class.x]\nloadsched = \"1\"\n", {"s, line 2", "loadsched must be a number"}},
      {"[class.x]\nloadsched = -1\n", {"s, line 2", "not negative"}},
      {"[class.x]\nloadstop = inf\n", {"s, line 2"}},
      {"[class.x]\nminimum_stay = 5\n", {"s, line 2", "minimum_stay"}},
      {"[class.\"a b\"]\n", {"s, line 1", "a b"}},
      {"[class]\nx = 1\n", {"s, line 2", "section"}},
      {"[balance]\nenabled = 1\n", {"s, line 2", "true or false"}},
      {"[balance]\nload_file = \"load\"\n", {"s, line 2", "absolute"}},
  };
  for (const auto& [text, words] : mistakes) {
    const Result<Settings> read = parse_settings(text, "s");
    BOOST_REQUIRE(!read.ok());
    for (const char* word : words) BOOST_TEST(says(read.error(), word), read.error().text());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
