// The two ways in which this process becomes a job's supervisor: by starting a program, or by
// bringing a job back from an image. Both return when the job has ended. Main thread only, before
// any other thread was started.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/path_map.h"
#include "runtime/base/result.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/terminal_client.h"
#include "runtime/restore/restart.h"

namespace ck::job {

inline constexpr unsigned kDefaultMaxThreads = 2048;
inline constexpr unsigned kMostThreads = 100'000;

// A job without a terminal of its own has moved to that host: what is known there may be waited
// for. Called last of all, with the exit status that there is otherwise; returns the one to be.
using OnMoved = std::function<int(const JobInfo& job, const std::string& host, int status)>;

// Where the terminal of a job may be that is not here any more.
struct TerminalPlace {
  std::string host;     // empty: here again, in another life
  bool certain = true;  // else only if a hand-over is under way, which brings it back
};
// A job with a terminal of its own has moved, or died: its terminal there, if there is one.
// `status` as above.
using TerminalOf = std::function<std::unique_ptr<JobTerminal>(
    const JobInfo& job, const TerminalPlace& place, int status)>;

// A job that is started for a user who sits at another host: it has a terminal of its own.
struct RemoteStart {
  std::optional<terminal::Modes> modes;  // of the user's terminal
  std::optional<terminal::Window> window;
  int report_fd = -1;  // the supervisor's alone: other processes close it; close-on-exec
  // In the supervisor: the program runs.
  std::function<void(const JobDir& job, RealPid keeper)> on_started;
  // Instead of a client on this process's streams.
  std::function<Result<ClientOutcome>(UniqueFd connection, RealPid keeper)> serve_terminal;
};

struct StartRequest {
  std::string jobs_folder;
  std::string name;  // empty: made from the command
  std::vector<std::string> command;
  Settings settings;
  // Room in the control area, 48 KiB a thread of a sparse file: it costs nothing until it is used.
  // Every image records it, and restarts keep to that.
  unsigned max_threads = kDefaultMaxThreads;
  // A terminal of its own for the job. Not said: if standard input and output are terminals.
  std::optional<bool> own_terminal;
  std::optional<RemoteStart> remote;
  OnMoved on_moved;        // may be empty
  TerminalOf terminal_of;  // may be empty
};
// The exit status for this process. process::preflight() has accepted the command.
Result<int> start_job(const StartRequest& request);

struct RestartRequest {
  std::string target;  // an image's path, or a job's name, id or folder
  std::string jobs_folder;
  std::string as;  // not empty: a new job of this name, a clone
  bool force = false;
  restore::PidsMode pids = restore::PidsMode::kAuto;
  bool rollback_files = false;
  PathMaps maps;  // where the job's files are now
  unsigned threads = 0;
  // Changes of the job's settings for this incarnation.
  std::optional<std::chrono::milliseconds> interval;
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<unsigned> keep;
  std::optional<int> request_signal;
  std::optional<Compression> compression;
  std::optional<resources::TcpPolicy> tcp;
  std::optional<int> stop_exit;
  Redraw redraw = Redraw::kAuto;
  bool keep_suspended = false;  // what its user had suspended at the checkpoint stays so
  bool in_advance = false;      // with hold: only memory as yet; the control socket tells of newer
                                // images, of which the last is the one that is held
  bool hold = false;            // the restored job stands still until it is unheld: see HeldRestart
  std::optional<std::uint64_t> counter;  // see Claim; not with hold, which is told it later
  // Gets a byte once the job runs, or with `hold` stands still, and is closed then: this process
  // and its children have it no longer. Close-on-exec. -1: none.
  int ready_fd = -1;
  image::Progress* progress = nullptr;
  OnMoved on_moved;        // may be empty
  TerminalOf terminal_of;  // may be empty
  // Of a job with a terminal of its own that a hand-over starts: instead of a
  // client on this process's streams. May be empty.
  std::function<Result<ClientOutcome>(UniqueFd connection, RealPid keeper)> serve_terminal;
  std::function<void()> on_restored;  // the job is about to have the terminal; may be empty
};
Result<int> restart_job(const RestartRequest& request);

}  // namespace ck::job
