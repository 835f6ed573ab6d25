#include "runtime/restore/tree_plan.h"

#include <signal.h>

#include <algorithm>
#include <map>
#include <optional>

namespace ck::restore {

namespace {

using Kind = TreeStep::Kind;
using Index = std::size_t;

constexpr pid_t kAny = -1;  // a session that nobody asks for, or that has no number here

class Planner {
 public:
  Planner(const image::Manifest& manifest, const TreeOptions& options)
      : manifest_(manifest), options_(options) {}

  Result<TreePlan> run() {
    CK_TRY(collect());
    const State& root = states_[0];
    now_[0] = {leads_session(0) ? kAny : root.sid,
               root.pgid == plan_.nodes[0].pid && !options_.group_of_restart ? kAny : root.pgid};
    build(0);
    CK_TRY(build_orphans_of_sessions());
    CK_TRY(check_all_made());
    set_groups();
    return std::move(plan_);
  }

 private:
  struct State {  // what a process has to be
    std::optional<Index> parent;
    pid_t sid, pgid;
    std::vector<Index> children;
  };
  struct Now {  // what it is, as far as the steps have come
    pid_t sid, pgid;
  };

  template <typename Record>
  void add(const Record& record, int process, int ended) {
    plan_.nodes.push_back({record.pid(), process, ended, record.exit_signal()});
    states_.push_back({{}, record.sid(), record.pgid(), {}});
    by_pid_[record.pid()] = plan_.nodes.size() - 1;
    parents_.push_back(record.ppid());
  }

  Status collect() {
    for (int i = 0; i < manifest_.processes_size(); ++i) add(manifest_.processes(i), i, -1);
    for (int i = 0; i < manifest_.ended_size(); ++i) add(manifest_.ended(i), -1, i);
    now_.resize(plan_.nodes.size());
    made_.assign(plan_.nodes.size(), false);
    made_[0] = true;
    // Orphans stand beside the root: it starts them for its own parent.
    for (Index i = 1; i < plan_.nodes.size(); ++i) {
      const auto parent = by_pid_.find(parents_[i]);
      if (parent != by_pid_.end()) {
        if (parent->second >= i)
          return make_error(ErrorKind::kBadImage, "process " + std::to_string(plan_.nodes[i].pid) +
                                                      " stands before its parent");
        states_[i].parent = parent->second;
      }
      states_[states_[i].parent.value_or(0)].children.push_back(i);
    }
    return {};
  }

  bool leads_session(Index node) const { return states_[node].sid == plan_.nodes[node].pid; }

  // The session that a process has to be born in. A leader does not mind, unless a child is in a
  // session that the leader must have left.
  pid_t birth_session(Index node) const {
    if (!leads_session(node)) return states_[node].sid;
    for (Index child : states_[node].children) {
      if (node == 0 && !states_[child].parent) continue;
      const pid_t wanted = birth_session(child);
      if (wanted == kAny || wanted == states_[node].sid) continue;
      const auto leader = by_pid_.find(wanted);
      if (leader == by_pid_.end() || !descends(leader->second, node)) return wanted;
    }
    return kAny;
  }

  bool descends(Index node, Index ancestor) const {
    for (std::size_t steps = 0; steps < states_.size(); ++steps) {
      if (node == ancestor) return true;
      if (!states_[node].parent) return false;
      node = *states_[node].parent;
    }
    return false;
  }

  Index add_helper(pid_t pid, Now now) {
    plan_.nodes.push_back({pid, -1, -1, 0});
    now_.push_back(now);
    return plan_.nodes.size() - 1;
  }

  void step(Kind kind, Index actor, Index node = 0, pid_t group = 0) {
    plan_.steps.push_back({kind, actor, node, group});
  }

  void start(Index actor, Index node, bool beside) {
    step(beside ? Kind::kCloneBeside : Kind::kClone, actor, node);
    now_[node] = now_[actor];
    if (node < made_.size()) made_[node] = true;
  }

  void begin_session(Index node) {
    step(Kind::kSetSession, node);
    now_[node] = {plan_.nodes[node].pid, plan_.nodes[node].pid};
    if (controls_terminal(node)) step(Kind::kControl, node);
  }

  // Before it has children: they inherit the terminal, and nobody else can give it to them.
  bool controls_terminal(Index node) const {
    if (node >= states_.size() || plan_.nodes[node].process < 0) return false;
    const std::uint32_t index = manifest_.processes(plan_.nodes[node].process).terminal();
    return index != 0 && manifest_.terminals(static_cast<int>(index) - 1).place() !=
                             image::TerminalRecord::OUTSIDE;
  }

  // All below `node` that can be born of their own parents.
  void build(Index node) {
    const std::vector<Index> children = states_[node].children;
    if (leads_session(node) && now_[node].sid != plan_.nodes[node].pid) {
      for (Index child : children)
        if (const pid_t wanted = birth_session(child); wanted != kAny && wanted == now_[node].sid)
          give_birth(node, child);
      begin_session(node);
    }
    for (Index child : children) {
      const pid_t wanted = birth_session(child);
      if (!made_[child] && (wanted == kAny || wanted == now_[node].sid)) give_birth(node, child);
    }
  }

  void give_birth(Index node, Index child) {
    start(node, child, node == 0 && !states_[child].parent);
    build(child);
  }

  // Those in a session that their parent has never been in: they were born elsewhere, and came to
  // their parent as orphans.
  Status build_orphans_of_sessions() {
    for (Index i = 1; i < made_.size(); ++i) {
      if (made_[i]) continue;
      const std::optional<Index> parent = states_[i].parent;
      if (parent && !made_[*parent]) continue;  // comes with its parent
      const auto leader = by_pid_.find(states_[i].sid);
      if (leader == by_pid_.end())
        through_dead_leader(i);
      else
        CK_TRY(through_living_leader(i, leader->second));
    }
    return {};
  }

  void through_dead_leader(Index first) {
    const std::optional<Index> parent = states_[first].parent;
    const pid_t session = states_[first].sid;
    const Index actor = parent.value_or(0);
    const Index helper = add_helper(session, now_[actor]);
    if (parent) step(Kind::kReaper, *parent);
    start(actor, helper, !parent);
    begin_session(helper);
    for (Index i = first; i < made_.size(); ++i) {
      if (made_[i] || states_[i].parent != parent || birth_session(i) != session) continue;
      start(helper, i, false);
      build(i);
    }
    step(parent ? Kind::kEnd : Kind::kEndBeside, actor, helper);
    if (parent) step(Kind::kNoReaper, *parent);
  }

  Status through_living_leader(Index node, Index leader) {
    const std::optional<Index> parent = states_[node].parent;
    if (!made_[leader] || (parent && !descends(leader, *parent))) return cannot_place(node);
    const Index helper = add_helper(0, now_[leader]);
    if (parent) step(Kind::kReaper, *parent);
    start(leader, helper, false);
    start(helper, node, false);
    step(Kind::kEnd, leader, helper);
    if (parent) step(Kind::kNoReaper, *parent);
    build(node);
    return {};
  }

  Status cannot_place(Index node) const {
    return make_error(ErrorKind::kRefused, "process " + std::to_string(plan_.nodes[node].pid) +
                                               " is in session " +
                                               std::to_string(states_[node].sid) +
                                               ", which none of its ancestors has led");
  }

  Status check_all_made() const {
    for (Index i = 0; i < made_.size(); ++i)
      if (!made_[i]) return cannot_place(i);
    return {};
  }

  void join(Index node, pid_t group) {
    step(Kind::kSetGroup, node, 0, group);
    now_[node].pgid = group;
  }

  void set_groups() {
    for (Index i = 0; i < made_.size(); ++i)
      if (states_[i].pgid == plan_.nodes[i].pid && now_[i].pgid != states_[i].pgid)
        join(i, states_[i].pgid);
    for (Index i = 0; i < made_.size(); ++i) {
      const pid_t group = states_[i].pgid;
      if (now_[i].pgid == group) continue;
      if (by_pid_.contains(group))
        join(i, group);
      else
        join_leaderless(i, group);
    }
  }

  void join_leaderless(Index first, pid_t group) {
    const Index helper = add_helper(group, now_[first]);
    start(first, helper, false);
    join(helper, group);
    for (Index i = first; i < made_.size(); ++i)
      if (states_[i].pgid == group && now_[i].pgid != group && now_[i].sid == now_[first].sid)
        join(i, group);
    step(Kind::kEnd, first, helper);
  }

  const image::Manifest& manifest_;
  const TreeOptions& options_;
  TreePlan plan_;
  std::vector<State> states_;
  std::vector<pid_t> parents_;
  std::vector<Now> now_;
  std::vector<bool> made_;
  std::map<pid_t, Index> by_pid_;
};

}  // namespace

Result<TreePlan> plan_tree(const image::Manifest& manifest, const TreeOptions& options) {
  return Planner(manifest, options).run();
}

std::string describe(const TreePlan& plan) {
  std::string text;
  for (const TreeStep& step : plan.steps) {
    const std::string actor = std::to_string(plan.nodes[step.actor].pid);
    const std::string node = std::to_string(plan.nodes[step.node].pid);
    switch (step.kind) {
      case Kind::kClone:
        text += actor + " starts " + node;
        break;
      case Kind::kCloneBeside:
        text += actor + " starts " + node + " beside it";
        break;
      case Kind::kSetSession:
        text += actor + " begins a session";
        break;
      case Kind::kSetGroup:
        text += actor + " joins group " + std::to_string(step.group);
        break;
      case Kind::kControl:
        text += actor + " takes its terminal";
        break;
      case Kind::kReaper:
        text += actor + " inherits orphans";
        break;
      case Kind::kNoReaper:
        text += actor + " inherits no orphans";
        break;
      case Kind::kEnd:
      case Kind::kEndBeside:
        text += node + " ends";
        break;
    }
    text += '\n';
  }
  return text;
}

}  // namespace ck::restore
