#include "runtime/proc/virtual_ids.h"

#include <signal.h>

#include <cerrno>
#include <fstream>

namespace ck::proc {

using abi::IdEntry;
using abi::IdTable;

namespace {

constexpr std::size_t kSiginfoBytes = 128;
constexpr std::uint32_t kLowestSpare = 300;     // below are numbers of the system's own
constexpr std::uint32_t kHighestSpare = 32767;  // in every pid namespace there may be such a pid

Result<IdEntry*> entry_of(IdTable& table, std::uint32_t key) {
  if (IdEntry* entry = abi::find_id(&table, key)) return entry;
  if (table.keys >= abi::kMaxIdKeys)
    return make_error(ErrorKind::kRefused,
                      "the job has more processes, threads and process groups than --pids virtual "
                      "has room for",
                      "try --pids namespace");
  std::uint32_t at = (key * 2654435761u) & (abi::kIdSlots - 1);
  while (table.entries[at].key != 0) at = (at + 1) & (abi::kIdSlots - 1);
  table.entries[at].key = key;
  ++table.keys;
  return &table.entries[at];
}

std::uint32_t highest_pid() {
  std::uint32_t most = kHighestSpare + 1;
  std::ifstream("/proc/sys/kernel/pid_max") >> most;
  return std::min(most - 1, kHighestSpare);
}

// A process, or with a negative number a group.
bool is_free(pid_t id) {
  return ::kill(id, 0) != 0 && errno == ESRCH;
}

}  // namespace

void begin_virtual_ids(const ControlArea& area) {
  IdTable& table = area.header()->ids;
  table = {};
  area.header()->system_v = {};
  table.on = 1;
}

Result<Bound> bind_id(const ControlArea& area, pid_t known_as, RealPid real) {
  IdTable& table = area.header()->ids;
  if (known_as <= 0 || real.value <= 0) return Bound::kAlreadyBound;
  const auto from = static_cast<std::uint32_t>(known_as);
  const auto to = static_cast<std::uint32_t>(real.value);
  IdEntry* mine = CK_TRY(entry_of(table, from));
  IdEntry* owned = CK_TRY(entry_of(table, to));
  if (mine->real != 0 || abi::virtual_of(owned) != 0) return Bound::kAlreadyBound;
  mine->real = to;
  owned->owner = from;
  return Bound::kNow;
}

Status bind_system_v(const ControlArea& area, abi::SystemVFamily family, int known_as, int real,
                     int key) {
  if (known_as < 0 || real < 0)
    return make_error(ErrorKind::kBadImage, "the id of a System V object is damaged");
  abi::SystemVTable& table = area.header()->system_v;
  for (std::uint32_t i = 0; i < abi::kMaxRestoredSystemV; ++i) {
    abi::SystemVEntry& entry = table.entries[i];
    if (entry.ids != 0) continue;
    entry = {abi::pack(family, known_as, real), key, 0};
    return {};
  }
  return make_error(ErrorKind::kRefused,
                    "the job has more System V objects than --pids virtual has room for",
                    "try --pids namespace");
}

void make_virtual(const ControlArea& area, std::span<std::byte> siginfo) {
  if (siginfo.size() < kSiginfoBytes) return;
  if (std::int32_t* id = abi::id_in_siginfo(siginfo.data())) *id = area.virtual_id(*id);
}

void make_real(const ControlArea& area, std::span<std::byte> siginfo) {
  if (siginfo.size() < kSiginfoBytes) return;
  if (std::int32_t* id = abi::id_in_siginfo(siginfo.data())) *id = area.real_id(*id);
}

void forget_id(abi::AreaHeader& header, pid_t real) {
  IdTable& table = header.ids;
  if (!table.on || real <= 0) return;
  const auto number = static_cast<std::uint32_t>(real);
  IdEntry* entry = abi::find_id(&table, number);
  if (entry == nullptr || !is_free(real) || !is_free(-real)) return;
  std::uint64_t owner = __atomic_load_n(&entry->owner, __ATOMIC_ACQUIRE);
  IdEntry* known = abi::find_id(&table, static_cast<std::uint32_t>(owner));
  std::uint32_t held = number;
  if (known != nullptr)
    __atomic_compare_exchange_n(&known->real, &held, 0u, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  __atomic_compare_exchange_n(&entry->owner, &owner, std::uint64_t{0}, false, __ATOMIC_ACQ_REL,
                              __ATOMIC_ACQUIRE);
}

Status add_spare_ids(const ControlArea& area) {
  IdTable& table = area.header()->ids;
  for (std::uint32_t id = highest_pid(); id >= kLowestSpare && table.spares < abi::kSpareIds;
       --id) {
    if (abi::find_id(&table, id) != nullptr || !is_free(static_cast<pid_t>(id))) continue;
    CK_TRY(entry_of(table, id));
    table.spare[table.spares++] = id;
  }
  return {};
}

}  // namespace ck::proc
