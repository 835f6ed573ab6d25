// The journal of hand-overs: what this host has decided, and a log for administrators. What
// write() has returned from is on disk; what the peers are told rests on that. One file, SQLite,
// mode 0600; one process at a time has it open (a lock that dies with the process tells others).
// One thread at a time.
//
// How it is durable: a write-ahead log with synchronous=FULL, so a commit is one write and one
// fsync of the log (a rollback journal with EXTRA needs four). The lock is exclusive, which also
// keeps SQLite's shared memory away: the file may be on a network file system. After a crash the
// log is replayed; a commit that was cut short is dropped as a whole. Whoever uses it must ignore
// SIGXFSZ.
//
// An error of write() leaves it open whether the record is on disk: see handover.h.
// Errors: kTryAgain: another process has it open; kBadImage: damaged, foreign, or of a newer
// version; kCannotWrite: disk full; kPermission: belongs to or could be written by others.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/handover/handover.h"
#include "driver/journal/sqlite.h"
#include "runtime/base/result.h"

namespace ck::driver::journal {

using Instant = std::chrono::sys_time<std::chrono::milliseconds>;

inline Instant now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

struct Entry {
  handover::Terms terms;
  handover::Record record;
  std::string peer;   // the other host's name
  std::string user;   // the job's owner; empty: written by a ckd that did not note it (version 1)
  std::string image;  // path on this host; empty: none yet
  Instant begun;
  Instant changed;
};

struct LogLine {
  Instant when;
  std::string handover;  // its id; empty: of the daemon itself
  std::string text;      // one line
};

class Journal {
 public:
  // Creates the file where there is none, and checks all of it where there is one.
  static Result<std::unique_ptr<Journal>> open(const std::string& path);

  // What does not change during a hand-over, besides its terms.
  struct Parties {
    std::string_view peer;
    std::string_view user;
  };
  // The hand-over's newest record, and a line of the log. An empty `image` keeps the one known.
  // An id that is known with other terms, other parties or for the other side is refused (kBug).
  Status write(const handover::Terms& terms, const handover::Record& record, const Parties& parties,
               std::string_view image, Instant now);
  // Of a hand-over whose record is written.
  Status set_image(std::string_view handover, std::string_view image, Instant now);
  // A line of the log that changes nothing.
  Status note(std::string_view handover, std::string_view text, Instant now);

  Result<std::optional<Entry>> find(std::string_view handover) const;
  // What a daemon that has started takes up again: all that is not over, oldest first.
  Result<std::vector<Entry>> unfinished() const;
  Result<std::vector<Entry>> of_job(std::string_view job) const;
  // The newest lines, oldest first; of one hand-over, or of all (empty).
  Result<std::vector<LogLine>> log(std::string_view handover, std::size_t limit) const;

  // Forgets what was over before `before`, with its lines of the log. Peers that ask later are
  // told Unknown: keep them for longer than any host stays away.
  Status forget(Instant before);

 private:
  explicit Journal(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  Status prepare_file();
  Status upgrade(std::int64_t from);
  Status add_line(std::string_view handover, std::string_view text, Instant now);
  Result<std::vector<Entry>> entries(Statement& statement) const;

  std::unique_ptr<Database> database_;
};

}  // namespace ck::driver::journal
