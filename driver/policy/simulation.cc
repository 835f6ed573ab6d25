#include "driver/policy/simulation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

namespace ck::driver {

namespace {

using std::chrono::seconds;

constexpr seconds kStep{5};
constexpr double kAverageSeconds = 60;
constexpr std::uint64_t kHostMemory = std::uint64_t{64} << 30;
constexpr double kMeanMemory = 1e9;
constexpr seconds kMoveOverhead{2};
constexpr char kClass[] = "batch";

struct Job {
  JobView view;
  double work = 0;  // seconds that are left
  double all_work = 0;
  Instant submitted;
  Instant finished{};
  std::size_t host = 0;
  std::set<std::size_t> seen;  // hosts that it has left
  unsigned moves = 0;
  Instant arrives{};  // while it is on its way
  bool started = false;
  bool on_its_way = false;
  bool done = false;
};

struct Host {
  HostView view;
  std::vector<std::size_t> jobs;
  double average = 0;  // as the kernel's, of all processors
  std::vector<RecentMove> recent;
  std::uint64_t reserved = 0;  // by jobs on their way here
  unsigned leaving = 0;
};

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options)
      : options_(options), random_(options.seed), classes_{{kClass, options.job_class}} {
    make_hosts();
    make_jobs();
  }

  SimulationReport run() {
    for (; now_ < Instant(options_.duration); now_ += kStep) {
      if (options_.drained > 0 && now_ == Instant(options_.duration / 2)) drain();
      submit();
      arrive();
      work();
      if (is_time(options_.view_age)) tell();
      if (options_.balance && is_time(options_.decides_every)) decide_all();
      watch_balance();
    }
    return report();
  }

 private:
  bool is_time(seconds period) const {
    return std::chrono::duration_cast<seconds>(now_.time_since_epoch()) % period < kStep;
  }

  void make_hosts() {
    hosts_.resize(options_.hosts);
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      HostView& view = hosts_[i].view;
      view.name = "h" + std::to_string(i);
      view.processors = options_.processors;
      view.memory_free = kHostMemory;
    }
    views_.resize(hosts_.size());
  }

  void make_jobs() {
    std::exponential_distribution<double> work(1.0 /
                                               static_cast<double>(options_.mean_work.count()));
    std::exponential_distribution<double> memory(1.0 / kMeanMemory);
    std::uniform_real_distribution<double> when(0, static_cast<double>(options_.arrivals.count()));
    for (unsigned i = 0; i < options_.jobs; ++i) {
      Job job;
      job.view.id = std::to_string(i);
      job.view.job_class = kClass;
      job.view.memory = static_cast<std::uint64_t>(memory(random_));
      job.work = job.all_work = std::max(work(random_), 30.0);
      job.submitted = Instant(seconds(static_cast<long>(when(random_))));
      jobs_.push_back(std::move(job));
    }
    waiting_.resize(jobs_.size());
    std::iota(waiting_.begin(), waiting_.end(), std::size_t{0});
    std::sort(waiting_.begin(), waiting_.end(), [&](std::size_t a, std::size_t b) {
      return jobs_[a].submitted > jobs_[b].submitted;
    });
  }

  void drain() {
    for (std::size_t i = 0; i < options_.drained && i < hosts_.size(); ++i)
      hosts_[i].view.draining = true;
  }

  void submit() {
    const auto busy = std::max<std::size_t>(
        1, static_cast<std::size_t>(options_.busy_share * static_cast<double>(hosts_.size())));
    while (!waiting_.empty() && jobs_[waiting_.back()].submitted <= now_) {
      Job& job = jobs_[waiting_.back()];
      job.started = true;
      settle(waiting_.back(), random_() % busy);
      waiting_.pop_back();
    }
  }

  void settle(std::size_t index, std::size_t host) {
    Job& job = jobs_[index];
    job.host = host;
    job.view.arrived = now_;
    job.on_its_way = false;
    hosts_[host].jobs.push_back(index);
    hosts_[host].view.memory_free -= std::min(hosts_[host].view.memory_free, job.view.memory);
  }

  void arrive() {
    for (std::size_t i = 0; i < under_way_.size();) {
      Job& job = jobs_[under_way_[i]];
      if (job.arrives > now_) {
        ++i;
        continue;
      }
      Host& target = hosts_[job.host];
      target.reserved -= job.view.memory;
      target.view.memory_free += job.view.memory;
      settle(under_way_[i], job.host);
      under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  static double tasks(const Host& host, const std::vector<Job>& jobs) {
    double sum = 0;
    for (std::size_t index : host.jobs)
      if (!jobs[index].view.stopped) sum += jobs[index].view.tasks;
    return sum;
  }

  // The host's processors are shared evenly.
  void work() {
    const double step = static_cast<double>(kStep.count());
    const double decay = std::exp(-step / kAverageSeconds);
    for (Host& host : hosts_) {
      const double running = tasks(host, jobs_);
      const double speed = running > options_.processors ? options_.processors / running : 1.0;
      for (std::size_t index : host.jobs)
        if (!jobs_[index].view.stopped) jobs_[index].work -= step * speed;
      std::erase_if(host.jobs, [&](std::size_t index) { return finish(index, host); });
      host.average = host.average * decay + running * (1 - decay);
      std::erase_if(host.recent, [&](const RecentMove& move) {
        return now_ - move.when > std::chrono::minutes(5);
      });
    }
  }

  bool finish(std::size_t index, Host& host) {
    Job& job = jobs_[index];
    if (job.work > 0) return false;
    job.done = true;
    job.finished = now_ + kStep;
    host.view.memory_free += job.view.memory;
    return true;
  }

  HostView fresh_view(const Host& host) const {
    HostView view = host.view;
    view.load = settled_load(host.average, options_.processors, host.recent, now_);
    view.told = now_;
    return view;
  }

  void tell() {
    for (std::size_t i = 0; i < hosts_.size(); ++i) views_[i] = fresh_view(hosts_[i]);
  }

  void decide_all() {
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      Host& host = hosts_[i];
      const HostView self = fresh_view(host);
      if (host.jobs.empty()) continue;
      std::vector<JobView> jobs;
      for (std::size_t index : host.jobs) jobs.push_back(jobs_[index].view);
      const std::vector<Decision> decisions = decide(
          {self, jobs, peers_without(i), classes_, now_, random_(), host.leaving}, options_.policy);
      host.leaving = 0;
      for (const Decision& decision : decisions) carry_out(i, decision);
    }
  }

  // A host never chooses itself: what it has told of itself is made too old to count.
  std::span<const HostView> peers_without(std::size_t self) {
    if (hidden_ < views_.size()) views_[hidden_].told = hidden_told_;
    hidden_ = self;
    hidden_told_ = views_[self].told;
    views_[self].told = Instant::min();
    return views_;
  }

  void carry_out(std::size_t from, const Decision& decision) {
    const auto index = static_cast<std::size_t>(std::stoul(decision.job));
    Job& job = jobs_[index];
    if (decision.kind != Decision::Kind::kMigrate) {
      job.view.stopped = decision.kind == Decision::Kind::kStop;
      return;
    }
    const auto to = static_cast<std::size_t>(std::stoul(decision.target.substr(1)));
    if (!accepts(fresh_view(hosts_[to]), job.view, classes_, options_.policy).ok()) {
      ++report_.refused;
      return;
    }
    move(index, from, to);
  }

  void move(std::size_t index, std::size_t from, std::size_t to) {
    Job& job = jobs_[index];
    Host& source = hosts_[from];
    Host& target = hosts_[to];
    ++report_.moves;
    ++job.moves;
    job.seen.insert(from);
    if (job.seen.contains(to)) ++report_.returns;
    std::erase(source.jobs, index);
    source.view.memory_free += job.view.memory;
    source.recent.push_back({-job.view.tasks, now_});
    target.recent.push_back({job.view.tasks, now_});
    target.view.memory_free -= std::min(target.view.memory_free, job.view.memory);
    target.reserved += job.view.memory;
    job.host = to;
    job.on_its_way = true;
    job.view.stopped = false;
    job.arrives = now_ + kMoveOverhead +
                  seconds(static_cast<long>(static_cast<double>(job.view.memory) /
                                            options_.bytes_per_second));
    under_way_.push_back(index);
  }

  void watch_balance() {
    const double most = options_.job_class.loadcheckpoint * options_.processors;
    const auto over = std::count_if(hosts_.begin(), hosts_.end(),
                                    [&](const Host& host) { return tasks(host, jobs_) >= most; });
    if (static_cast<double>(over) * 100 > static_cast<double>(hosts_.size())) unbalanced_ = now_;
  }

  SimulationReport report() {
    std::vector<double> slowdowns;
    double sum = 0, squares = 0, count = 0;
    for (const Job& job : jobs_) {
      if (!job.started) continue;
      const Instant end = job.done ? job.finished : now_;
      const double taken =
          std::max(1.0, std::chrono::duration<double>(end - job.submitted).count());
      const double speed = (job.all_work - std::max(job.work, 0.0)) / taken;
      sum += speed;
      squares += speed * speed;
      count += 1;
      report_.most_moves = std::max(report_.most_moves, job.moves);
      if (job.done) slowdowns.push_back(taken / job.all_work);
    }
    for (const Host& host : hosts_)
      if (host.view.draining) report_.left_on_drained += static_cast<unsigned>(host.jobs.size());
    if (unbalanced_ + kStep < now_)
      report_.time_to_balance = std::max(
          seconds(0),
          std::chrono::duration_cast<seconds>(unbalanced_ + kStep - Instant(options_.arrivals)));
    report_.finished = static_cast<unsigned>(slowdowns.size());
    report_.fairness = squares > 0 ? sum * sum / (count * squares) : 0;
    std::sort(slowdowns.begin(), slowdowns.end());
    if (!slowdowns.empty()) {
      report_.slowdown = std::accumulate(slowdowns.begin(), slowdowns.end(), 0.0) /
                         static_cast<double>(slowdowns.size());
      report_.worst_slowdown = slowdowns[slowdowns.size() * 95 / 100];
    }
    return report_;
  }

  const SimulationOptions& options_;
  std::mt19937_64 random_;
  JobClasses classes_;
  std::vector<Host> hosts_;
  std::vector<Job> jobs_;
  std::vector<HostView> views_;  // what everybody knows of everybody
  std::size_t hidden_ = ~std::size_t{0};
  Instant hidden_told_;
  std::vector<std::size_t> waiting_;  // to be submitted, the next one last
  std::vector<std::size_t> under_way_;
  Instant now_{};
  Instant unbalanced_{};  // the last time
  SimulationReport report_;
};

}  // namespace

SimulationReport simulate(const SimulationOptions& options) {
  return Simulation(options).run();
}

}  // namespace ck::driver
