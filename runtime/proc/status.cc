#include "runtime/proc/status.h"

#include <functional>
#include <string_view>
#include <unordered_map>

#include "runtime/proc/proc_file.h"
#include "runtime/proc/text_cursor.h"

namespace ck::proc {
namespace {

using Field = void (*)(TextCursor&, ProcessStatus&);

template <typename T>
std::vector<T> numbers(TextCursor& cursor) {
  std::vector<T> found;
  for (cursor.blanks(); !cursor.at_end() && !cursor.failed(); cursor.blanks()) {
    found.push_back(cursor.number<T>());
  }
  return found;
}

// The kernel escapes newline and backslash in a name as "\n" and "\\".
std::string unescape(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      name += text[i] == 'n' ? '\n' : text[i];
    } else {
      name += text[i];
    }
  }
  return name;
}

template <auto Member>
void decimal(TextCursor& cursor, ProcessStatus& status) {
  using T = std::remove_reference_t<decltype(status.*Member)>;
  if constexpr (std::is_same_v<T, RealPid>) {
    status.*Member = RealPid(cursor.number<pid_t>());
  } else if constexpr (std::is_same_v<T, bool>) {
    status.*Member = cursor.number<unsigned>() != 0;
  } else {
    status.*Member = cursor.number<T>();
  }
}

template <auto Member>
void mask(TextCursor& cursor, ProcessStatus& status) {
  status.*Member = cursor.number<std::uint64_t>(16);
}

template <auto Member>
void kilobytes(TextCursor& cursor, ProcessStatus& status) {
  status.*Member = cursor.number<std::uint64_t>() * 1024;
}

template <auto Member>
void list(TextCursor& cursor, ProcessStatus& status) {
  using T = typename std::remove_reference_t<decltype(status.*Member)>::value_type;
  status.*Member = numbers<T>(cursor);
}

template <auto Member>
void four(TextCursor& cursor, ProcessStatus& status) {
  for (auto& id : status.*Member) id = cursor.number<uid_t>();
}

void name_field(TextCursor& cursor, ProcessStatus& status) {
  cursor.accept('\t');
  status.name = unescape(cursor.rest());
}

void state_field(TextCursor& cursor, ProcessStatus& status) {
  cursor.blanks();
  status.state = cursor.peek();
}

void umask_field(TextCursor& cursor, ProcessStatus& status) {
  status.umask = cursor.number<std::uint32_t>(8);
}

using S = ProcessStatus;
const std::unordered_map<std::string_view, Field>& fields() {
  static const std::unordered_map<std::string_view, Field> table = {
      {"Name", name_field},
      {"Umask", umask_field},
      {"State", state_field},
      {"Tgid", decimal<&S::tgid>},
      {"Pid", decimal<&S::pid>},
      {"PPid", decimal<&S::ppid>},
      {"TracerPid", decimal<&S::tracer>},
      {"Uid", four<&S::uids>},
      {"Gid", four<&S::gids>},
      {"Groups", list<&S::groups>},
      {"NStgid", list<&S::ns_tgid>},
      {"NSpid", list<&S::ns_pid>},
      {"NSpgid", list<&S::ns_pgid>},
      {"NSsid", list<&S::ns_sid>},
      {"Kthread", decimal<&S::kernel_thread>},
      {"VmSize", kilobytes<&S::vm_size>},
      {"VmLck", kilobytes<&S::vm_locked>},
      {"VmRSS", kilobytes<&S::vm_rss>},
      {"CoreDumping", decimal<&S::core_dumping>},
      {"Threads", decimal<&S::threads>},
      {"SigQ", decimal<&S::queued_signals>},
      {"SigPnd", mask<&S::pending>},
      {"ShdPnd", mask<&S::shared_pending>},
      {"SigBlk", mask<&S::blocked>},
      {"SigIgn", mask<&S::ignored>},
      {"SigCgt", mask<&S::caught>},
      {"CapInh", mask<&S::cap_inheritable>},
      {"CapPrm", mask<&S::cap_permitted>},
      {"CapEff", mask<&S::cap_effective>},
      {"CapBnd", mask<&S::cap_bounding>},
      {"CapAmb", mask<&S::cap_ambient>},
      {"NoNewPrivs", decimal<&S::no_new_privs>},
      {"Seccomp", decimal<&S::seccomp>},
      {"Seccomp_filters", decimal<&S::seccomp_filters>},
  };
  return table;
}

}  // namespace

Result<ProcessStatus> parse_status(std::string_view text) {
  ProcessStatus status;
  TextCursor lines(text);
  while (!lines.at_end()) {
    std::string_view line = lines.line();
    std::size_t colon = line.find(':');
    if (colon == line.npos) continue;
    auto field = fields().find(line.substr(0, colon));
    if (field == fields().end()) continue;
    TextCursor cursor(line.substr(colon + 1));
    field->second(cursor, status);
    if (cursor.failed()) {
      return make_error(ErrorKind::kSystem,
                        "process status has a line of unknown form: " + std::string(line));
    }
  }
  return status;
}

Result<ProcessStatus> read_status(RealPid pid) {
  std::string text = CK_TRY(read_proc(pid, "status"));
  return parse_status(text);
}

}  // namespace ck::proc
