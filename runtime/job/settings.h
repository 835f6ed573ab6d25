// What the user can choose about a job's checkpoints, how it is written on a command line, and how
// job.json remembers it for the next restart. Pure; any thread.
#pragma once

#include <chrono>
#include <csignal>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/image/writer.h"
#include "runtime/resources/tcp_policy.h"

namespace ck::job {

inline constexpr int kDefaultStopExit = 85;
inline constexpr char kDefaultClass[] = "default";

struct Compression {
  image::Codec codec = image::Codec::kZstd;
  int level = 1;
  bool operator==(const Compression&) const = default;
};

struct Settings {
  int request_signal = SIGUSR2;
  std::chrono::milliseconds interval{0};  // 0: no periodic checkpoints
  unsigned keep = 0;                      // newest generations to keep; 0: all
  Compression compression;
  unsigned threads = 0;                      // 0: one a core
  std::chrono::milliseconds timeout{30000};  // for the freeze, and for waiting one's turn
  resources::TcpPolicy tcp = resources::TcpPolicy::kReset;  // connections to outside of the job
  int stop_exit = kDefaultStopExit;       // the supervisor's exit status after ckpt --stop
  bool allow_uncontrolled = false;        // processes without the agent are left out of images
  std::string job_class = kDefaultClass;  // for load balancing: [class.NAME] in ckd.toml
  std::string hostname;  // that the job sees wherever it runs; empty: the host's own
};

// "90s", "10m", "1h30m", "2d", "500ms"; a plain number is seconds. At most 10 years.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
// The same for --interval: 0 (never) or at least a second.
Result<std::chrono::milliseconds> parse_interval(std::string_view text);
// "50M": 50,000,000 bytes a second. k, M and G are decimal, as for links.
Result<std::uint64_t> parse_rate(std::string_view text);
std::string format_duration(std::chrono::milliseconds duration);

// "none", "zstd", "zstd:LEVEL" with LEVEL from 1 to 19, or -1 to -7 (faster).
Result<Compression> parse_compression(std::string_view text);
std::string format_compression(const Compression& compression);

// "reset", "refuse", "repair".
Result<resources::TcpPolicy> parse_tcp(std::string_view text);
std::string format_tcp(resources::TcpPolicy policy);

// A name of a class of jobs: letters, digits, '-', '_', '.'; at most 32.
Result<std::string> parse_job_class(std::string_view text);

// "SIGUSR2", "USR2", "usr2" or a number.
Result<int> parse_signal(std::string_view text);
std::string format_signal(int number);
// Refuses signals that a program cannot be asked with (SIGKILL, SIGSTOP, SIGCHLD, faults, …).
Result<int> parse_request_signal(std::string_view text);

}  // namespace ck::job
