#include "driver/policy/balance.h"

#include <algorithm>

#include "driver/policy/fit.h"

namespace ck::driver {

namespace {

// So many fit targets are drawn, and the best of them is taken: near enough to the best of all, and
// hosts that decide at the same moment do not all choose that one ("power of two choices").
constexpr int kDraws = 3;

Error refused(const HostView& host, const std::string& why) {
  return make_error(ErrorKind::kRefused, "host " + host.name + " " + why);
}

// xorshift64*: its state is the situation's number, so equal situations give equal decisions.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  std::size_t below(std::size_t bound) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<std::size_t>((state_ * 0x2545f4914f6cdd1d) >> 33) % bound;
  }

 private:
  std::uint64_t state_;
};

// A little loaded one of those that would take the job and then be below `limit`; null: none.
const HostView* choose(const JobView& job, std::span<const HostView> hosts, double limit,
                       const JobClasses& classes, Instant now, Dice& dice,
                       const BalanceOptions& options) {
  std::vector<const HostView*> fit;
  for (const HostView& host : hosts)
    if (fits(job, host, limit, classes, now, options)) fit.push_back(&host);
  const HostView* best = nullptr;
  for (int draw = 0; draw < kDraws && !fit.empty(); ++draw) {
    const std::size_t which = dice.below(fit.size());
    const HostView* drawn = fit[which];
    fit.erase(fit.begin() + static_cast<std::ptrdiff_t>(which));
    if (best == nullptr || drawn->load + share(job, *drawn) < best->load + share(job, *best))
      best = drawn;
  }
  return best;
}

class Decider {
 public:
  Decider(const Situation& situation, const BalanceOptions& options)
      : situation_(situation),
        options_(options),
        peers_(situation.peers.begin(), situation.peers.end()),
        load_(situation.self.load),
        dice_(situation.random),
        moves_left_(situation.moves_under_way >= options.moves_at_once
                        ? 0
                        : options.moves_at_once - situation.moves_under_way) {}

  std::vector<Decision> run() {
    for (const JobView* job : cheapest_first())
      if (moves_left_ > 0 && wants_to_leave(*job)) try_to_move(*job);
    for (const JobView& job : situation_.jobs) stop_or_continue(job);
    return std::move(decisions_);
  }

 private:
  // What a move costs is the job's memory.
  std::vector<const JobView*> cheapest_first() const {
    std::vector<const JobView*> jobs;
    for (const JobView& job : situation_.jobs) jobs.push_back(&job);
    std::sort(jobs.begin(), jobs.end(), [](const JobView* a, const JobView* b) {
      return a->memory != b->memory ? a->memory < b->memory : a->id < b->id;
    });
    return jobs;
  }

  bool wants_to_leave(const JobView& job) const {
    const JobClass* its = class_of(job, situation_.classes);
    if (its == nullptr || its->checkpointmode == Mode::kNone) return false;
    if (situation_.self.draining) return true;
    return !job.pinned && !job.suspended && job.tasks >= options_.least_tasks &&
           load_ >= its->loadcheckpoint && situation_.now - job.arrived >= its->minimum_stay;
  }

  void try_to_move(const JobView& job) {
    const bool draining = situation_.self.draining;
    const double limit = draining ? 1e9 : load_ - options_.margin;
    const HostView* target =
        choose(job, peers_, limit, situation_.classes, situation_.now, dice_, options_);
    if (target == nullptr) return;
    const std::string reason = draining ? "host " + situation_.self.name + " is drained"
                                        : "load " + load_text(load_) + " here, " +
                                              load_text(target->load) + " at " + target->name;
    decisions_.push_back({Decision::Kind::kMigrate, job.id, target->name, reason});
    --moves_left_;
    if (!job.stopped) load_ -= share(job, situation_.self);
    for (HostView& peer : peers_) {
      if (peer.name != target->name) continue;
      peer.load += share(job, peer);
      peer.memory_free -= std::min(peer.memory_free, job.memory);
    }
  }

  bool moves(const JobView& job) const {
    return std::any_of(decisions_.begin(), decisions_.end(),
                       [&](const Decision& decision) { return decision.job == job.id; });
  }

  // A job that stands still adds nothing to the load: it may go on when the load with it again is
  // bearable.
  void stop_or_continue(const JobView& job) {
    const JobClass* its = class_of(job, situation_.classes);
    if (its == nullptr || job.suspended || moves(job)) return;
    const double before = load_ + situation_.lately_gone;
    const double with_it = before + share(job, situation_.self);
    if (!job.stopped && load_ >= its->loadstop) {
      decisions_.push_back({Decision::Kind::kStop, job.id, "", "load " + load_text(load_)});
      load_ -= share(job, situation_.self);
    } else if (job.stopped && before < its->loadsched && with_it < its->loadstop) {
      decisions_.push_back({Decision::Kind::kContinue, job.id, "", "load " + load_text(before)});
      load_ += share(job, situation_.self);
    }
  }

  const Situation& situation_;
  const BalanceOptions& options_;
  std::vector<HostView> peers_;  // with what was decided so far
  double load_;
  Dice dice_;
  unsigned moves_left_;
  std::vector<Decision> decisions_;
};

}  // namespace

std::vector<Decision> decide(const Situation& situation, const BalanceOptions& options) {
  return Decider(situation, options).run();
}

std::string place(const JobView& job, std::span<const HostView> hosts, const JobClasses& classes,
                  Instant now, std::uint64_t random, const BalanceOptions& options) {
  Dice dice(random);
  const HostView* host = choose(job, hosts, 1e9, classes, now, dice, options);
  return host == nullptr ? std::string() : host->name;
}

Status accepts(const HostView& self, const JobView& job, const JobClasses& classes,
               const BalanceOptions& options) {
  const JobClass* its = class_of(job, classes);
  if (its == nullptr) return refused(self, "knows no job class " + job.job_class);
  if (its->restartmode == Mode::kNone) return refused(self, "takes no jobs of its class");
  if (self.draining) return refused(self, "is being drained");
  if (self.load >= its->loadsched)
    return refused(
        self, "has a load of " + load_text(self.load) + ", not below " + load_text(its->loadsched));
  if (self.load + share(job, self) >= its->loadcheckpoint && self.load > 0)
    return refused(self, "would have to give it away again at once");
  if ((job.features & ~self.features) != 0) return refused(self, "lacks CPU features");
  const auto usable = static_cast<std::uint64_t>(static_cast<double>(self.memory_free) *
                                                 (1 - options.least_memory_reserve));
  if (job.memory > usable) return refused(self, "has too little memory free");
  return {};
}

}  // namespace ck::driver
