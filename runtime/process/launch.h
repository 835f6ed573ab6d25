// Starts a program under the agent: the first life of a job. Supervisor only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/proc/control_area.h"

namespace ck::process {

// The job's root process as its supervisor sees it, however it came to be (launched here, restored
// here, or restored behind the init process of a namespace).
class RootProcess {
 public:
  virtual ~RootProcess() = default;
  virtual RealPid pid() const = 0;
  // Readable (poll) once the process has ended.
  virtual int exit_fd() const = 0;
  // The process that inherits the job's orphans: this one, or one that stands for it.
  virtual RealPid reaper() const = 0;
  // After exit_fd() is readable: a wait status (waitpid(2)), for WIFEXITED and friends. Call from
  // the thread that launched or restored the process.
  virtual Result<int> take_exit_status() = 0;
  // When exit_fd() is readable: that may tell of a stop by this signal instead of the end.
  virtual std::optional<int> take_stop() { return std::nullopt; }
};

// What a program inherits of its parent's signal state; the supervisor changes its own.
struct SignalState {
  std::uint64_t blocked = 0;  // bit n-1: signal n
  std::uint64_t ignored = 0;
  static SignalState current();
  // In a child that has no other thread; may follow fork(2): system calls only.
  void apply() const;
};

struct LaunchOptions {
  SignalState signals;                   // as they were when ckrun started
  std::vector<std::string> command;      // command[0] is looked up in PATH if it has no slash
  std::vector<std::string> environment;  // "NAME=value"; agent variables are added here
  // A terminal that controls this process's session: the program gets it as its standard streams
  // (error only if that is a terminal now), in a foreground process group of its own. -1: none.
  int terminal = -1;
};

// Looks `command` up and tells whether the agent can live in it. Refuses, with the reason, what is
// statically linked, not x86-64, without glibc's loader, setuid, setgid, or with file capabilities.
// Follows #! lines. Returns the path to execute. Error kinds: kNotFound, kPermission, kRefused.
Result<std::string> preflight(const std::string& command, const std::string& path_variable);

// Starts the program; returns after exec has succeeded (an exec error is returned as such).
Result<std::unique_ptr<RootProcess>> launch(const LaunchOptions& options, const ControlArea& area);

}  // namespace ck::process
