#include "runtime/restore/restart.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <set>
#include <span>

#include "runtime/base/log.h"
#include "runtime/capture/apart.h"
#include "runtime/memory/restored_objects.h"
#include "runtime/proc/cpu.h"
#include "runtime/proc/pass_descriptor.h"
#include "runtime/proc/slot_state.h"
#include "runtime/proc/tasks.h"
#include "runtime/proc/virtual_ids.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/system_v.h"
#include "runtime/resources/tcp_repair.h"
#include "runtime/resources/terminals.h"
#include "runtime/restore/bootstrap.h"
#include "runtime/restore/build_tree.h"
#include "runtime/restore/check_cpu.h"
#include "runtime/restore/inherited_memory.h"
#include "runtime/restore/restore_memory.h"
#include "runtime/restore/restore_process.h"
#include "runtime/restore/restore_threads.h"
#include "runtime/restore/spawn_child.h"
#include "runtime/restore/stop_process.h"
#include "runtime/restore/successor.h"
#include "runtime/restore/virtual_process.h"

namespace ck::restore {

using proc::Mailbox;
using std::chrono::steady_clock;

namespace {

constexpr unsigned kFirstSlot = 0;
constexpr std::chrono::seconds kHoldTime{10};

Status check_process(const image::ProcessRecord& process, const ControlArea& area) {
  if (process.agent().version() != abi::kVersion)
    return make_error(ErrorKind::kRefused,
                      "the job's agent speaks version " +
                          std::to_string(process.agent().version()) + ", this ckrun version " +
                          std::to_string(abi::kVersion),
                      "restart it with the version of ckrun that wrote the image");
  if (process.agent().area_size() != area.header()->size)
    return make_error(ErrorKind::kBug, "the control area must have the size that the image names");
  const uid_t owner = process.credentials().uids(0);
  if (owner != ::getuid())
    return make_error(ErrorKind::kPermission,
                      "the job ran as user " + std::to_string(owner) + ", you are user " +
                          std::to_string(::getuid()),
                      "restart it as that user");
  return {};
}

// Everything that can be known before anything is started.
Status check_before(const image::Manifest& manifest, const ControlArea& area) {
  CK_TRY(check_cpu(manifest.host()));
  for (const image::ProcessRecord& process : manifest.processes())
    CK_TRY(check_process(process, area));
  if (Tree::slots(manifest) > area.slot_count())
    return make_error(ErrorKind::kRefused,
                      "the job has too many processes and threads for its control area");
  return {};
}

// Each image of several says the same of a file.
std::vector<std::string> without_repetitions(std::vector<std::string> lines) {
  std::set<std::string> known;
  std::erase_if(lines, [&](const std::string& line) { return !known.insert(line).second; });
  return lines;
}

class Restart {
 public:
  Restart(const image::Reader& reader, ControlArea& area, const RestartOptions& options)
      : reader_(&reader),
        manifest_(&reader.manifest()),
        area_(area),
        options_(options),
        terminals_(*manifest_) {}

  ~Restart() {
    if (!spawned_ || done_) return;
    // Nothing half-restored stays. Of a traced process the end might not be seen.
    processes_.clear();
    if (spawned_->root->pid()) {
      ::kill(spawned_->root->pid().value, SIGKILL);
      (void)spawned_->root->take_exit_status();
    }
  }

  Result<Restarted> run() {
    if (options_.next_image) CK_TRY(check_in_advance(*manifest_));
    CK_TRY(spawn());
    Mailbox root(area_, kFirstSlot, 0, spawned_->root->pid());
    CK_TRY(root.wait_parked().ok() ? Status() : restorer_died());
    const Camp camp = CK_TRY(move_to_camp(root, area_, spawned_->helpers.area(), *manifest_));
    auto system_v = CK_TRY(resources::SystemVRestore::plan(*reader_, system_v_ids(), warnings_));
    CK_TRY(system_v.begin(root));
    CK_TRY(make_terminals(root));
    CK_TRY(build_tree(root));
    CK_TRY(system_v.make(resource_processes()));
    CK_TRY(restore_memory(camp));
    if (mode_ == PidsMode::kVirtual) CK_TRY(enter_gates());
    CK_TRY(system_v.finish(processes_[0].box));
    CK_TRY(terminals_.fill());
    CK_TRY(restore_descriptors());
    CK_TRY(terminals_.finish(warnings_));
    CK_TRY(tree_->end_ended());
    for (Process& process : processes_)
      CK_TRY(set_attributes(process.box, *process.record, process.page()));
    CK_TRY(capture::note_namespaces(area_, spawned_->root->pid()));
    compare_groups(manifest_->processes(0).credentials(), warnings_);
    // Children first: what they tell their parents meanwhile is discarded there.
    for (auto process = processes_.rbegin(); process != processes_.rend(); ++process)
      CK_TRY(restore_threads(*process));
    if (mode_ == PidsMode::kVirtual) CK_TRY(proc::add_spare_ids(area_));
    if (options_.goes_on) {
      if (!options_.goes_on(spawned_->root->pid())) return Restarted{nullptr, mode_, {}, {}};
      CK_TRY(check_all_there());
      for (Process* process : awaits_locks_) CK_TRY(restore_locks(*process));
    }
    CK_TRY(repaired_.revive());
    CK_TRY(release());
    done_ = true;
    system_v.keep();
    Restarted restarted;
    restarted.pids = mode_;
    restarted.root = std::move(spawned_->root);
    restarted.warnings = without_repetitions(std::move(warnings_));
    restarted.own_terminal = std::move(own_terminal_);
    restarted.typed = terminals_.own_rest();
    return restarted;
  }

 private:
  struct Process {
    const image::ProcessRecord* record = nullptr;
    int index = 0;  // in the manifest
    unsigned first_slot = 0;
    Mailbox box;                 // of the leader
    std::vector<MapStep> steps;  // once its memory is there
    std::optional<MappedFiles> files;
    capture::HeldThreads held;  // where it is stopped
    std::optional<abi::AgentPage> virtual_ids;
    const abi::AgentPage* page() const { return virtual_ids ? &*virtual_ids : nullptr; }
  };

  Status restorer_died() const {
    return make_error(
        ErrorKind::kSystem,
        "the restorer " + options_.restorer_path + " was ended before it said anything",
        "does it run by itself? it must be of this CPU, executable, and not be killed");
  }

  resources::SystemVRestore::Ids system_v_ids() const {
    using Ids = resources::SystemVRestore::Ids;
    if (mode_ == PidsMode::kNamespace) return Ids::kNamespace;
    return mode_ == PidsMode::kVirtual ? Ids::kVirtual : Ids::kOfHost;
  }

  // This way works here, but somebody killed the first process: no reason to take another.
  static bool was_disturbed(const Error& error) { return error.kind == ErrorKind::kTryAgain; }

  Status spawn() {
    clocks_ = options_.next_image ? clocks_now(manifest_->clocks()) : manifest_->clocks();
    spawned_at_ = steady_clock::now();
    abi::ThreadSlot& slot = *area_.slot(kFirstSlot);
    slot.state = abi::kArriving;
    slot.orphan_exits = 1;
    slot.self_released = 0;
    area_.header()->ids.on = 0;
    if (options_.pids == PidsMode::kAuto || options_.pids == PidsMode::kReal) {
      auto real = spawn_real(*manifest_, clocks_, area_, options_.restorer_path, kFirstSlot);
      if (real.ok() || options_.pids == PidsMode::kReal || was_disturbed(real.error())) {
        mode_ = PidsMode::kReal;
        spawned_ = CK_TRY(std::move(real));
        tell_of_clocks();
        return {};
      }
      spdlog::debug("not the real way: {}", real.error().text());
    }
    if (options_.pids != PidsMode::kVirtual) {
      auto apart =
          spawn_in_namespace(*manifest_, clocks_, area_, options_.restorer_path, kFirstSlot);
      if (apart.ok() || options_.pids == PidsMode::kNamespace || was_disturbed(apart.error())) {
        mode_ = PidsMode::kNamespace;
        spawned_ = CK_TRY(std::move(apart));
        return {};
      }
      warnings_.push_back("the job's ids are virtual: " + apart.error().text());
      slot.state = abi::kArriving;
    }
    mode_ = PidsMode::kVirtual;
    CK_TRY(area_.reserve_ids());
    spawned_ =
        CK_TRY(spawn_virtual(*manifest_, clocks_, area_, options_.restorer_path, kFirstSlot));
    tell_of_clocks();
    return {};
  }

  void tell_of_clocks() {
    if (!spawned_->own_time_namespace)
      warnings_.push_back(
          "CLOCK_MONOTONIC of the job jumps to this host's (it goes on with --pids namespace, or "
          "where root restarts the job)");
  }

  TreeOptions tree_options() const {
    TreeOptions options;
    options.group_of_restart = spawned_->group_of_restart;
    return options;
  }

  Status build_tree(const Mailbox& root) {
    TreePlan plan = CK_TRY(plan_tree(*manifest_, tree_options()));
    if (!plan.steps.empty()) spdlog::debug("process tree:\n{}", describe(plan));
    tree_.emplace(*manifest_, std::move(plan), area_, root, mode_ != PidsMode::kNamespace);
    objects_.emplace(CK_TRY(memory::RestoredObjects::create(*manifest_)));
    CK_TRY(objects_->fill(*reader_));
    if (options_.progress != nullptr) options_.progress->begin("restart", memory_bytes());
    for (int i = 0; i < manifest_->processes_size(); ++i)
      processes_.push_back(
          {&manifest_->processes(i), i, tree_->first_slot(i), root, {}, {}, {}, {}});
    Tree::Hooks hooks;
    hooks.before_start = [this](int starter, int process) { return before(starter, process); };
    hooks.take_terminal = [this](Mailbox& leader, int process) {
      return use_terminal(leader, process, "take its controlling terminal", TIOCSCTTY);
    };
    CK_TRY(tree_->build(std::move(hooks)));
    for (Process& process : processes_) process.box = tree_->box(process.index);
    return set_foreground();
  }

  // A fork shares what the starter has: its memory comes first where the child's is alike. But
  // System V segments come before any memory, and need all processes.
  Status before(int starter, int process) {
    if (!manifest_->system_v().empty() ||
        !runs_same_program(manifest_->processes(starter), manifest_->processes(process)))
      return {};
    return restore_memory_of(processes_[static_cast<std::size_t>(starter)]);
  }

  Status make_terminals(Mailbox& root) {
    if (!terminals_.any()) return {};
    if (spawned_->own_terminal)
      own_terminal_ = std::move(spawned_->own_terminal);
    else if (options_.own_terminal >= 0)
      own_terminal_.reset(::fcntl(options_.own_terminal, F_DUPFD_CLOEXEC, 0));
    else if (terminals_.own() >= 0)
      own_terminal_ = CK_TRY(terminal::open_master());
    if (own_terminal_)
      terminals_.set_own(UniqueFd(::fcntl(own_terminal_.get(), F_DUPFD_CLOEXEC, 0)));
    return terminals_.make(mode_ == PidsMode::kNamespace ? &root : nullptr);
  }

  // An ioctl of a process on the terminal that controls it. `value`: what its argument points to.
  Status use_terminal(Mailbox& box, int process, const char* what, unsigned long request,
                      std::optional<std::int32_t> value = {}) {
    const std::uint32_t terminal = manifest_->processes(process).terminal() - 1;
    const UniqueFd slave = CK_TRY(terminals_.slave(terminal, O_RDWR | O_NONBLOCK));
    const int fd = CK_TRY(proc::pass_descriptor(box, spawned_->channel.get(),
                                                spawned_->helpers.channel(), slave.get()));
    const Mailbox::Address argument = value ? box.put_value(*value) : 0;
    Result<std::int64_t> done = box.call(what, SYS_ioctl, fd, request, argument);
    CK_TRY(box.call("close a terminal", SYS_close, fd));
    if (!done.ok()) return std::move(done).error();
    return {};
  }

  // Where the job uses the terminal of the restart, which has it in the foreground. The root's
  // group may be that of the restart, which is there already.
  Status give_terminal_of_restart(Process& process, pid_t group) {
    if (!joins_session(*manifest_) ||
        (spawned_->group_of_restart && group == kernels_number(manifest_->processes(0).pgid())))
      return {};
    for (int stream = 0; stream < 3; ++stream) {
      if (::tcgetpgrp(stream) != ::getpgrp()) continue;
      const auto address = process.box.put_value<std::int32_t>(group);
      CK_TRY(process.box.call("set the foreground process group", SYS_ioctl,
                              spawned_->helpers.base + stream, TIOCSPGRP, address));
      break;
    }
    return {};
  }

  // As the kernel has it for the job's processes. Virtual ids are not in force yet.
  pid_t kernels_number(pid_t group) const {
    if (mode_ != PidsMode::kVirtual) return group;
    for (const Process& process : processes_)
      if (process.record->pgid() == group) return ::getpgid(process.box.pid().value);
    return group;
  }

  // By a process of the session.
  Status set_foreground() {
    std::set<std::uint32_t> done;
    for (Process& process : processes_) {
      const std::uint32_t index = process.record->terminal();
      if (index == 0 || !done.insert(index).second) continue;
      const pid_t group =
          kernels_number(manifest_->terminals(static_cast<int>(index) - 1).foreground());
      if (group <= 0) continue;
      if (!terminals_.has(index - 1))
        CK_TRY(give_terminal_of_restart(process, group));
      else
        CK_TRY(use_terminal(process.box, process.index, "set the foreground process group",
                            TIOCSPGRP, group));
    }
    return {};
  }

  Status restore_memory(const Camp& camp) {
    for (Process& process : processes_) CK_TRY(restore_memory_of(process));
    for (bool last = !options_.next_image; !last;) {
      const NextImage next = CK_TRY(options_.next_image());
      CK_TRY(replace_memory(next.reader, camp));
      last = next.last;
    }
    for (Process& process : processes_) {
      CK_TRY(finish_memory(process, camp));
      CK_TRY(enter_agent(process, camp));
    }
    return objects_->finish();
  }

  // Mapped and filled, all of it still writable. Once for each process.
  Status restore_memory_of(Process& process) {
    const int base = tree_->memory_of(process.index);
    if (base == process.index) return {};
    process.box = tree_->box(process.index);  // during the building it is new
    process.steps = plan_memory(*manifest_, static_cast<std::uint32_t>(process.index));
    CK_TRY(base < 0 ? fill_anew(process)
                    : fill_over(process, processes_[static_cast<std::size_t>(base)]));
    tree_->set_own_memory(process.index);
    return {};
  }

  Status fill_anew(Process& process) {
    if (!files_)
      files_.emplace(*reader_, *objects_, spawned_->channel.get(), spawned_->helpers.channel(),
                     warnings_);
    process.files.emplace(files_->with_none_open());
    CK_TRY(map_all(process.box, process.steps, *process.files));
    return fill_memory(process.box, *reader_, static_cast<std::uint32_t>(process.index),
                       process.steps, nullptr, options_.threads, options_.progress);
  }

  Status fill_over(Process& process, const Process& base) {
    process.files.emplace(*base.files);
    return fill_over(process, *manifest_, base.index, base.steps);
  }

  // The process has the memory of process `base` of `image`, made with these steps.
  Status fill_over(Process& process, const image::Manifest& image, int base,
                   const std::vector<MapStep>& steps) {
    const Inheritance inheritance = inherit(steps, process.steps);
    CK_TRY(unmap_all(process.box, inheritance.dropped));
    CK_TRY(map_all(process.box, inheritance.fresh, *process.files));
    const KeptMemory kept{image, static_cast<std::uint32_t>(base), inheritance.kept};
    return fill_memory(process.box, *reader_, static_cast<std::uint32_t>(process.index),
                       inheritance.fresh, &kept, options_.threads, options_.progress);
  }

  // From here on it is the restart of that image.
  Status replace_memory(const image::Reader& next, const Camp& camp) {
    const image::Manifest& earlier = *manifest_;
    CK_TRY(check_before(next.manifest(), area_));
    CK_TRY(check_successor(earlier, next.manifest(), tree_options()));
    CK_TRY(check_camp(camp, next.manifest()));
    if (spawned_->own_time_namespace) CK_TRY(check_clocks(next.manifest().clocks(), job_clocks()));
    if (highest_descriptor(next.manifest()) >= spawned_->helpers.base)
      return make_error(ErrorKind::kRefused, "the job has opened too many descriptors meanwhile");
    reader_ = &next;
    manifest_ = &next.manifest();
    objects_.emplace(CK_TRY(memory::RestoredObjects::create(*manifest_)));
    CK_TRY(objects_->fill(*reader_));
    files_.emplace(*reader_, *objects_, spawned_->channel.get(), spawned_->helpers.channel(),
                   warnings_);
    for (Process& process : processes_) {
      process.record = &manifest_->processes(process.index);
      std::vector<MapStep> steps = std::move(process.steps);
      renumber_files(steps, earlier, *manifest_);
      process.steps = plan_memory(*manifest_, static_cast<std::uint32_t>(process.index));
      process.files.emplace(files_->with_none_open());
      CK_TRY(fill_over(process, earlier, process.index, steps));
      CK_TRY(open_program(process));
    }
    CK_TRY(terminals_.become(*manifest_));
    return set_foreground();
  }

  // What is kept was mapped with a descriptor that nobody knows any more.
  Status open_program(Process& process) {
    for (const MapStep& step : process.steps) {
      if (step.object == 0 || step.mapping->shared()) continue;
      if (manifest_->objects(static_cast<int>(step.object) - 1).path() != process.record->exe())
        continue;
      CK_TRY(process.files->descriptor(process.box, step.object, *step.mapping));
      break;
    }
    return {};
  }

  image::ClockRecord job_clocks() const {
    using std::chrono::nanoseconds;
    const auto passed = std::chrono::duration_cast<nanoseconds>(steady_clock::now() - spawned_at_);
    image::ClockRecord now = clocks_;
    now.set_monotonic_ns(now.monotonic_ns() + passed.count());
    now.set_boottime_ns(now.boottime_ns() + passed.count());
    return now;
  }

  Status finish_memory(Process& process, const Camp& camp) {
    Mailbox& box = process.box;
    CK_TRY(place_vdso(box, camp, *process.record));
    CK_TRY(finish_mappings(box, process.steps));
    CK_TRY(set_memory_layout(box, *process.record,
                             process.files->descriptor_of(process.record->exe()), warnings_));
    CK_TRY(box.call("close the mapped files", SYS_close_range, 0, spawned_->helpers.base - 1, 0));
    return {};
  }

  Status enter_gates() {
    std::vector<VirtualProcess> all;
    for (Process& process : processes_) all.push_back({&process.box, process.record});
    for (const VirtualProcess& process : all) CK_TRY(refuse_robust_mutexes(process));
    CK_TRY(bind_outer_ids(area_, all));
    CK_TRY(choose_gate(area_, all));
    for (std::size_t i = 0; i < all.size(); ++i)
      processes_[i].virtual_ids = CK_TRY(enter_gate(all[i]));
    return {};
  }

  std::uint64_t memory_bytes() const {
    std::uint64_t total = 0;
    for (const image::ChunkRecord& chunk : manifest_->chunks())
      if (image::StreamId::unpack(chunk.stream()).kind == image::StreamId::Kind::kMemory)
        total += chunk.raw_size();
    return total;
  }

  // From here on the process is as it would be in a checkpoint: parked in its own agent.
  Status enter_agent(Process& process, const Camp& camp) {
    const image::AgentRecord& agent = process.record->agent();
    CK_TRY(process.box.call("map the control area", SYS_mmap, agent.area(), area_.header()->size,
                            3 /* read, write */, 0x100001 /* MAP_SHARED | MAP_FIXED_NOREPLACE */,
                            spawned_->helpers.area(), 0));
    CK_TRY(process.box.jump(agent.serve(), agent.area()));
    return leave_camp(process.box, camp);
  }

  std::vector<resources::RestoreProcess> resource_processes() {
    std::vector<resources::RestoreProcess> processes;
    for (Process& process : processes_) processes.push_back({&process.box, process.record});
    return processes;
  }

  Status restore_descriptors() {
    const std::vector<resources::RestoreProcess> processes = resource_processes();
    resources::RestoreContext context;
    context.processes = processes;
    context.objects = &*objects_;
    context.channel = spawned_->channel.get();
    context.channel_fd = spawned_->helpers.channel();
    context.base = spawned_->helpers.base;
    for (int stream = 0; stream < 3; ++stream)
      context.std_fds[static_cast<std::size_t>(stream)] = context.base + stream;
    context.area = &area_;
    context.spare_slot = kFirstSlot + static_cast<unsigned>(Tree::slots(*manifest_)) - 1;
    context.rollback_files = options_.rollback_files;
    context.warnings = &warnings_;
    context.repaired = &repaired_;
    context.terminals = &terminals_;
    CK_TRY(resources::restore_descriptors(context, *manifest_));
    for (Process& process : processes_)
      CK_TRY(process.box.call("close the restorer's descriptors", SYS_close_range, context.base,
                              ~0u, 0));
    for (Process& process : processes_) CK_TRY(restore_locks_early(process));
    return {};
  }

  Status restore_locks(Process& process) {
    const resources::RestoreProcess one{&process.box, process.record};
    resources::RestoreContext context;
    context.processes = std::span(&one, 1);
    return resources::restore_locks(context, *manifest_);
  }

  // While this copy is held, those may be taken on a shared file system by the job itself, where it
  // stands still. What stops exactly cannot be asked later.
  Status restore_locks_early(Process& process) {
    Status taken = restore_locks(process);
    const bool waits = !taken.ok() && taken.error().kind == ErrorKind::kRefused &&
                       options_.goes_on && !stops_exactly(*process.record);
    if (!waits) return taken;
    awaits_locks_.push_back(&process);
    return {};
  }

  Status restore_threads(Process& process) {
    const image::ProcessRecord& record = *process.record;
    CK_TRY(discard_pending(process.box, record, notices_to(record), process.page()));
    if (process.page() != nullptr) CK_TRY(install_filter({&process.box, &record}, *process.page()));
    CK_TRY(make_threads(process.box, area_, process.first_slot, record));
    if (continues_unheard(record)) CK_TRY(continue_again(process.box, record, process.page()));
    CK_TRY(set_thread_state(area_, process.first_slot, record, process.box.pid(), manifest_->host(),
                            warnings_));
    set_limits(process.box.pid(), record, warnings_);
    CK_TRY(start_clocks(process.box, record, warnings_));
    for (unsigned i = 0; i < static_cast<unsigned>(record.threads_size()); ++i) {
      Mailbox thread(area_, process.first_slot + i, process.box.area_address(), process.box.pid());
      CK_TRY(drop_privileges(thread, record.credentials()));
    }
    if (stops_exactly(record)) CK_TRY(hold(process));
    CK_TRY(set_dumpable(process.box, record));
    return stops_exactly(record) ? stop(process) : Status();
  }

  // The signals by which children tell of their end, or stop; and terminals, of a window that was
  // changed after their processes had been made in advance.
  std::set<int> notices_to(const image::ProcessRecord& parent) const {
    std::set<int> numbers{SIGCHLD, SIGWINCH};
    for (const image::EndedRecord& ended : manifest_->ended())
      if (ended.ppid() == parent.pid() && ended.exit_signal() > 0)
        numbers.insert(ended.exit_signal());
    return numbers;
  }

  // A leader that has to end by itself cannot do so where it is held.
  static bool stops_exactly(const image::ProcessRecord& record) {
    return record.stopped() && !record.threads(0).exited();
  }

  // An undumpable process could not be traced.
  Status hold(Process& process) {
    process.held =
        CK_TRY(capture::HeldThreads::seize(process.box.pid(), steady_clock::now() + kHoldTime));
    process.box.set_idle([&process] { process.held.pump(); });
    return {};
  }

  Status stop(Process& process) {
    CK_TRY(stop_again(process.box, process.held, *process.record));
    CK_TRY(process.held.die_with_tracer(true));  // stopped, it does not look after the supervisor
    if (process.record->unreported() != 0) return {};
    for (Process& parent : processes_)
      if (parent.record->pid() == process.record->ppid())
        CK_TRY(hear_of_stop(parent.box, *process.record));
    return {};
  }

  // Who kills one process of a job that is held must not be told of a job that runs.
  Status check_all_there() const {
    for (const Process& process : processes_)
      if (!proc::is_alive(process.box.pid()))
        return make_error(ErrorKind::kTryAgain, "process " + std::to_string(process.record->pid()) +
                                                    " of the job was killed while it was held");
    return {};
  }

  // The commit: from the first store on, every thread goes on by itself even if we die now.
  Status release() {
    for (Process& process : processes_) CK_TRY(process.held.die_with_tracer(false));
    for (const Process& process : processes_)
      for (int i = 0; i < process.record->threads_size(); ++i)
        area_.slot(process.first_slot + static_cast<unsigned>(i))->orphan_exits = 0;
    CK_TRY(spawned_->commit());
    tree_->release();
    // Children first: a parent may at once look after them.
    for (auto process = processes_.rbegin(); process != processes_.rend(); ++process)
      release(*process);
    return {};
  }

  void release(Process& process) {
    const image::ProcessRecord& record = *process.record;
    for (int i = record.threads_size() - 1; i >= 0; --i)
      if (!record.threads(i).exited())
        proc::set_slot_state(*area_.slot(process.first_slot + static_cast<unsigned>(i)),
                             abi::kRelease);
    if (record.threads(0).exited()) {
      process.box.clear();
      process.box.add(SYS_prctl, PR_SET_NAME, process.box.put_string(record.threads(0).name()));
      process.box.add(SYS_exit, 0);  // the leader alone, as it was
      process.box.start();
    }
    if (stops_exactly(record))
      leave_stopped(process);
    else if (record.stopped())
      ::kill(process.box.pid().value, SIGSTOP);
  }

  void leave_stopped(Process& process) {
    const auto leave_by = steady_clock::now() + kHoldTime;
    if (Status left = process.held.leave_all(leave_by); !left.ok())
      warnings_.push_back(left.error().text());
    process.held.let_go();
  }

  const image::Reader* reader_;
  const image::Manifest* manifest_;
  ControlArea& area_;
  const RestartOptions& options_;
  std::unique_ptr<Spawned> spawned_;
  std::optional<Tree> tree_;
  std::vector<Process> processes_;
  std::vector<Process*> awaits_locks_;
  std::optional<memory::RestoredObjects> objects_;
  std::optional<MappedFiles> files_;
  resources::RestoredTerminals terminals_;
  UniqueFd own_terminal_;
  PidsMode mode_ = PidsMode::kReal;
  image::ClockRecord clocks_;  // that the job's first process began with
  steady_clock::time_point spawned_at_;
  std::vector<std::string> warnings_;
  resources::RepairedConnections repaired_;
  bool done_ = false;
};

}  // namespace

std::size_t slots_needed(const image::Manifest& manifest) {
  return Tree::slots(manifest);
}

Result<Restarted> restart(const image::Reader& reader, ControlArea& area,
                          const RestartOptions& options) {
  CK_TRY(check_before(reader.manifest(), area));
  Result<Restarted> restarted = Restart(reader, area, options).run();
  // An id of the job was taken by somebody else: the other way does not mind.
  if (options.pids != PidsMode::kAuto || restarted.ok() || restarted.error().errnum != EEXIST ||
      options.next_image)
    return restarted;
  spdlog::debug("not the real way: {}", restarted.error().text());
  RestartOptions elsewhere = options;
  elsewhere.pids = PidsMode::kNamespace;
  return Restart(reader, area, elsewhere).run();
}

}  // namespace ck::restore
