#include "runtime/restore/virtual_process.h"

#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "runtime/proc/mem.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/virtual_ids.h"
#include "runtime/restore/id_filter.h"

namespace ck::restore {

using proc::Mailbox;

namespace {

constexpr std::uint64_t kSaRestorer = 0x04000000;

// Where the kernel places nothing by itself: above programs and their heaps, far below the rest.
constexpr std::uint64_t kFirstPlace = 0x5f0000000000, kLastPlace = 0x5fff00000000,
                        kBetweenPlaces = 0x100000000;

std::uint64_t page_address(const VirtualProcess& process) {
  return process.record->agent().area() - abi::kAgentPageBytes;
}

Result<abi::AgentPage> read_page(const VirtualProcess& process) {
  const proc::ProcMem memory = CK_TRY(proc::ProcMem::open(process.box->pid()));
  return memory.read_value<abi::AgentPage>(page_address(process));
}

// `own`: where the process has a gate page of a former restart; that may be used again.
bool is_free(const image::ProcessRecord& process, std::uint64_t place, std::uint64_t own) {
  if (place == own) return true;
  return std::none_of(process.mappings().begin(), process.mappings().end(), [&](const auto& one) {
    return one.begin() < place + abi::kGateBytes && place < one.end();
  });
}

Status map_gate(Mailbox& box, const abi::AgentPage& page, std::uint64_t gate) {
  const proc::ProcMem memory = CK_TRY(proc::ProcMem::open(box.pid()));
  const std::uint64_t code_bytes = page.gate_code_end - page.gate_code_begin;
  const std::uint64_t serve_bytes = page.serve_code_end - page.serve_code_begin;
  if (code_bytes > abi::kGateServe || serve_bytes > abi::kGateBytes - abi::kGateServe ||
      page.serve_entry >= serve_bytes)
    return make_error(ErrorKind::kBadImage,
                      "the agent's page of process " + to_string(box.pid()) + " is damaged");
  std::vector<std::byte> code(code_bytes);
  std::vector<std::byte> serve(serve_bytes);
  CK_TRY(memory.read(page.gate_code_begin, code));
  CK_TRY(memory.read(page.serve_code_begin, serve));
  box.clear();
  CK_TRY(box.call("map the gate page", SYS_mmap, gate, abi::kGateBytes, PROT_READ | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  CK_TRY(memory.write(gate, code));
  return memory.write(gate + abi::kGateServe, serve);
}

void note_actions(const image::ProcessRecord& record, abi::AgentPage& page) {
  for (abi::KernelSigaction& action : page.actions) action = {};
  for (const image::SignalActionRecord& action : record.signal_actions())
    page.actions[action.number()] = {action.handler(), action.flags(), action.restorer(),
                                     action.mask()};
}

// Privilege alone can change what /proc/self/exe leads to.
Status note_program(const VirtualProcess& process, abi::AgentPage& page) {
  std::memset(page.exe, 0, sizeof page.exe);
  const std::string& exe = process.record->exe();
  if (CK_TRY(proc::read_proc_link(process.box->pid(), "exe")) != exe &&
      exe.size() < sizeof page.exe)
    std::memcpy(page.exe, exe.data(), exe.size());
  return {};
}

Status handle_sigsys(Mailbox& box, const abi::AgentPage& page) {
  const abi::KernelSigaction action{page.on_sigsys, SA_SIGINFO | SA_ONSTACK | kSaRestorer,
                                    page.sigsys_return, ~std::uint64_t{0}};
  box.clear();
  CK_TRY(box.call("handle SIGSYS", SYS_rt_sigaction, SIGSYS, box.put_value(action), 0, 8));
  return {};
}

Status bind_quietly(const ControlArea& area, pid_t known_as, RealPid real) {
  CK_TRY(proc::bind_id(area, known_as, real));
  return {};
}

}  // namespace

Status choose_gate(const ControlArea& area, std::span<const VirtualProcess> processes) {
  std::vector<std::uint64_t> own;
  for (const VirtualProcess& process : processes) own.push_back(CK_TRY(read_page(process)).gate);
  for (std::uint64_t place = kFirstPlace; place <= kLastPlace; place += kBetweenPlaces) {
    bool fits = true;
    for (std::size_t i = 0; i < processes.size(); ++i)
      fits = fits && is_free(*processes[i].record, place, own[i]);
    if (!fits) continue;
    area.header()->ids.gate = place;
    return {};
  }
  return make_error(ErrorKind::kRefused,
                    "the job occupies all addresses where --pids virtual needs a page",
                    "try --pids namespace");
}

Result<abi::AgentPage> enter_gate(const VirtualProcess& process) {
  Mailbox& box = *process.box;
  const std::uint64_t gate = box.area().header()->ids.gate;
  abi::AgentPage page = CK_TRY(read_page(process));
  if (page.gate != gate) CK_TRY(map_gate(box, page, gate));
  page.gate = gate;
  page.code_begin = gate + abi::kGateServe;
  page.code_end = page.code_begin + (page.serve_code_end - page.serve_code_begin);
  page.serve = page.code_begin + page.serve_entry;
  page.no_new_privs = process.record->no_new_privs();
  CK_TRY(note_program(process, page));
  if (page.no_new_privs != 0) box.area().header()->ids.no_new_privs = 1;
  note_actions(*process.record, page);
  const proc::ProcMem memory = CK_TRY(proc::ProcMem::open(box.pid()));
  CK_TRY(memory.write(page_address(process), std::as_bytes(std::span(&page, 1))));
  CK_TRY(box.jump(page.serve, page.area));
  CK_TRY(handle_sigsys(box, page));
  return page;
}

abi::KernelSigaction stand_before(const abi::AgentPage& page, const abi::KernelSigaction& own) {
  if (own.handler <= 1) return own;
  return {page.deliver, own.flags, own.restorer, ~std::uint64_t{0}};
}

Status install_filter(const VirtualProcess& process, const abi::AgentPage& page) {
  Mailbox& box = *process.box;
  const std::vector<sock_filter> filter =
      make_id_filter(page.gate, box.area().header()->system_v.entries[0].ids != 0);
  for (const bool privileged : {true, false}) {
    box.clear();
    if (!privileged) box.add(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).stop_on_error();
    struct {
      std::uint64_t length, code;
    } const program{filter.size(), box.put(std::as_bytes(std::span(filter)))};
    const auto installed = box.add(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, box.put_value(program));
    CK_TRY(box.run());
    if (privileged && box.result(installed) == -EACCES) continue;
    return box.expect_all("install the filter of --pids virtual");
  }
  return {};
}

Status bind_outer_ids(const ControlArea& area, std::span<const VirtualProcess> processes) {
  for (const VirtualProcess& process : processes) {
    const proc::ProcessStat stat = CK_TRY(proc::read_stat(process.box->pid()));
    CK_TRY(bind_quietly(area, process.record->pgid(), stat.pgrp));
    CK_TRY(bind_quietly(area, process.record->sid(), stat.session));
  }
  return bind_quietly(area, processes[0].record->ppid(), RealPid(::getpid()));
}

Status refuse_robust_mutexes(const VirtualProcess& process) {
  const proc::ProcMem memory = CK_TRY(proc::ProcMem::open(process.box->pid()));
  for (const image::ThreadRecord& thread : process.record->threads()) {
    if (thread.robust_list() == 0) continue;
    const auto head = memory.read_value<robust_list_head>(thread.robust_list());
    if (!head.ok()) continue;
    const bool empty = reinterpret_cast<std::uint64_t>(head->list.next) == thread.robust_list();
    if (empty && head->list_op_pending == nullptr) continue;
    return make_error(ErrorKind::kRefused,
                      "thread " + std::to_string(thread.tid()) + " of process " +
                          std::to_string(process.record->pid()) +
                          " holds a robust mutex, which knows it by its real id",
                      "try --pids namespace");
  }
  return {};
}

}  // namespace ck::restore
