#include "driver/journal/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/unique_fd.h"

namespace ck::driver::journal {

namespace {

constexpr std::int64_t kApplication = 0x636b6a6c;  // "ckjl", in the file's header
constexpr std::int64_t kVersion = 2;

constexpr char kSchema[] = R"(
  CREATE TABLE handovers (
    id TEXT PRIMARY KEY NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('source', 'target')),
    phase TEXT NOT NULL,
    over INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    forced INTEGER NOT NULL,
    was_ready INTEGER NOT NULL,
    job TEXT NOT NULL,
    token_counter INTEGER NOT NULL,
    token_host TEXT NOT NULL,
    token_supervisor INTEGER NOT NULL,
    token_start INTEGER NOT NULL,
    lease INTEGER NOT NULL,
    peer TEXT NOT NULL,
    user TEXT NOT NULL DEFAULT '',
    image TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX handovers_over ON handovers (over, changed_ms);
  CREATE INDEX handovers_job ON handovers (job);
  CREATE TABLE log (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    handover TEXT NOT NULL,
    text TEXT NOT NULL
  ) STRICT;
  CREATE INDEX log_handover ON log (handover);
)";

constexpr char kColumns[] =
    "SELECT id, role, phase, counter, forced, was_ready, job, token_counter, token_host, "
    "token_supervisor, token_start, lease, peer, user, image, begun_ms, changed_ms FROM handovers ";

// The file may be created by a daemon of any umask; SQLite's other files get its mode.
Status create_file(const std::string& path) {
  const UniqueFd fd(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd) return sys_error("open the journal " + path);
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return sys_error("stat the journal " + path);
  if (!S_ISREG(status.st_mode)) {
    return make_error(ErrorKind::kBadImage, "the journal " + path + " is not a regular file");
  }
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return make_error(ErrorKind::kPermission,
                      "the journal " + path + " belongs to another user, or others may write it",
                      "it decides which copy of a job runs: find out who has changed it");
  }
  // The descriptor goes before SQLite opens the file: closing it later would drop SQLite's locks.
  return {};
}

std::string_view role_of(handover::Record::Phase phase) {
  return handover::is_source(phase) ? "source" : "target";
}

std::optional<handover::Record::Phase> phase_of(std::string_view text) {
  using Phase = handover::Record::Phase;
  for (int i = 0; i <= static_cast<int>(Phase::kGivenUpDone); ++i) {
    if (name(static_cast<Phase>(i)) == text) return static_cast<Phase>(i);
  }
  return std::nullopt;
}

Instant instant(std::int64_t milliseconds) {
  return Instant(std::chrono::milliseconds(milliseconds));
}

std::int64_t milliseconds(Instant when) {
  return when.time_since_epoch().count();
}

std::string line_of(const handover::Record& record, std::string_view peer) {
  std::string line = std::string(role_of(record.phase)) + ", peer " + std::string(peer) + ": " +
                     std::string(name(record.phase)) + ", incarnation " +
                     std::to_string(record.counter);
  if (record.forced) line += ", by an administrator";
  return line;
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const std::string& path) {
  CK_TRY(create_file(path));
  std::unique_ptr<Journal> journal(new Journal(CK_TRY(Database::open(path))));
  CK_TRY(journal->prepare_file());
  return journal;
}

Status Journal::prepare_file() {
  Database& database = *database_;
  // Before the first access: it decides how the write-ahead log is shared.
  CK_TRY(database.run("PRAGMA locking_mode = EXCLUSIVE"));
  const std::string mode = CK_TRY(database.text("PRAGMA journal_mode = WAL"));
  if (mode != "wal") {
    return make_error(ErrorKind::kSystem,
                      "the journal " + database.path() + " cannot have a write-ahead log",
                      "put the state folder on another file system");
  }
  CK_TRY(database.run("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF"));
  const auto damaged = [&](const std::string& what, const std::string& hint) {
    return make_error(ErrorKind::kBadImage, "the journal " + database.path() + " " + what, hint);
  };
  Transaction transaction = CK_TRY(Transaction::begin(database));
  const std::int64_t version = CK_TRY(database.number("PRAGMA user_version"));
  const std::int64_t application = CK_TRY(database.number("PRAGMA application_id"));
  const std::int64_t tables = CK_TRY(database.number("SELECT count(*) FROM sqlite_schema"));
  if (tables == 0 && version == 0 && application == 0) {
    CK_TRY(database.run(kSchema));
    CK_TRY(database.run(("PRAGMA user_version = " + std::to_string(kVersion)).c_str()));
    CK_TRY(database.run(("PRAGMA application_id = " + std::to_string(kApplication)).c_str()));
    return transaction.commit();
  }
  if (application != kApplication) return damaged("is another program's database", "");
  if (version > kVersion) {
    return damaged("was written by a newer version of ckd (" + std::to_string(version) +
                       ", this one reads " + std::to_string(kVersion) + ")",
                   "use a ckd at least as new as the one that wrote it");
  }
  CK_TRY(upgrade(version));
  const std::string check = CK_TRY(database.text("PRAGMA integrity_check(1)"));
  if (check != "ok") {
    return damaged("is damaged: " + check.substr(0, check.find('\n')),
                   "keep the file; ckpt resolve ends open hand-overs at the peers");
  }
  return transaction.commit();
}

Status Journal::upgrade(std::int64_t from) {
  if (from >= kVersion) return {};
  CK_TRY(database_->run("ALTER TABLE handovers ADD COLUMN user TEXT NOT NULL DEFAULT ''"));
  return database_->run(("PRAGMA user_version = " + std::to_string(kVersion)).c_str());
}

Status Journal::add_line(std::string_view handover, std::string_view text, Instant now) {
  Statement insert =
      CK_TRY(database_->prepare("INSERT INTO log (at_ms, handover, text) VALUES (?, ?, ?)"));
  CK_TRY(insert.bind(milliseconds(now)).bind(handover).bind(text).step());
  return {};
}

Status Journal::write(const handover::Terms& terms, const handover::Record& record,
                      const Parties& parties, std::string_view image, Instant now) {
  Transaction transaction = CK_TRY(Transaction::begin(*database_));
  {
    Statement insert = CK_TRY(database_->prepare(R"(
      INSERT INTO handovers (id, role, phase, over, counter, forced, was_ready, job,
        token_counter, token_host, token_supervisor, token_start, lease, peer, image,
        begun_ms, changed_ms, user)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16, ?17)
      ON CONFLICT (id) DO UPDATE SET phase = ?3, over = ?4, counter = ?5, forced = ?6,
        was_ready = ?7, image = iif(?15 = '', image, ?15), changed_ms = ?16, user = ?17
      WHERE role = ?2 AND job = ?8 AND token_counter = ?9 AND token_host = ?10
        AND token_supervisor = ?11 AND token_start = ?12 AND lease = ?13 AND peer = ?14
        AND user IN ('', ?17))"));
    insert.bind(terms.id).bind(role_of(record.phase)).bind(name(record.phase));
    insert.bind(is_over(record.phase)).bind(static_cast<std::int64_t>(record.counter));
    insert.bind(record.forced).bind(record.was_ready).bind(terms.job);
    insert.bind(static_cast<std::int64_t>(terms.token.counter)).bind(terms.token.host);
    insert.bind(terms.token.supervisor);
    insert.bind(static_cast<std::int64_t>(terms.token.supervisor_start)).bind(terms.lease);
    insert.bind(parties.peer).bind(image).bind(milliseconds(now)).bind(parties.user);
    CK_TRY(insert.step());
  }
  if (database_->changes() != 1) {
    return make_error(ErrorKind::kBug, "hand-over " + terms.id + " of job " + terms.job +
                                           " is in the journal " + database_->path() +
                                           " with other terms");
  }
  CK_TRY(add_line(terms.id, line_of(record, parties.peer), now));
  return transaction.commit();
}

Status Journal::set_image(std::string_view handover, std::string_view image, Instant now) {
  Transaction transaction = CK_TRY(Transaction::begin(*database_));
  Statement update =
      CK_TRY(database_->prepare("UPDATE handovers SET image = ?2, changed_ms = ?3 WHERE id = ?1"));
  CK_TRY(update.bind(handover).bind(image).bind(milliseconds(now)).step());
  if (database_->changes() != 1)
    return make_error(ErrorKind::kBug, "hand-over " + std::string(handover) +
                                           " is not in the journal " + database_->path());
  return transaction.commit();
}

Status Journal::note(std::string_view handover, std::string_view text, Instant now) {
  Transaction transaction = CK_TRY(Transaction::begin(*database_));
  CK_TRY(add_line(handover, text, now));
  return transaction.commit();
}

Result<std::vector<Entry>> Journal::entries(Statement& statement) const {
  std::vector<Entry> entries;
  while (CK_TRY(statement.step())) {
    Entry entry;
    entry.terms.id = statement.text(0);
    const std::optional<handover::Record::Phase> phase = phase_of(statement.text(2));
    if (!phase || role_of(*phase) != statement.text(1)) {
      return make_error(ErrorKind::kBadImage, "the journal " + database_->path() +
                                                  " is damaged: hand-over " + entry.terms.id +
                                                  " is in no phase that there is");
    }
    entry.record.phase = *phase;
    entry.record.counter = static_cast<std::uint64_t>(statement.number(3));
    entry.record.forced = statement.number(4) != 0;
    entry.record.was_ready = statement.number(5) != 0;
    entry.terms.job = statement.text(6);
    entry.terms.token.counter = static_cast<std::uint64_t>(statement.number(7));
    entry.terms.token.host = statement.text(8);
    entry.terms.token.supervisor = statement.number(9);
    entry.terms.token.supervisor_start = static_cast<std::uint64_t>(statement.number(10));
    entry.terms.lease = statement.number(11) != 0;
    entry.peer = statement.text(12);
    entry.user = statement.text(13);
    entry.image = statement.text(14);
    entry.begun = instant(statement.number(15));
    entry.changed = instant(statement.number(16));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<std::optional<Entry>> Journal::find(std::string_view handover) const {
  Statement select = CK_TRY(database_->prepare(std::string(kColumns) + "WHERE id = ?"));
  std::vector<Entry> found = CK_TRY(entries(select.bind(handover)));
  if (found.empty()) return std::optional<Entry>();
  return std::optional<Entry>(std::move(found.front()));
}

Result<std::vector<Entry>> Journal::unfinished() const {
  Statement select =
      CK_TRY(database_->prepare(std::string(kColumns) + "WHERE over = 0 ORDER BY begun_ms, rowid"));
  return entries(select);
}

Result<std::vector<Entry>> Journal::of_job(std::string_view job) const {
  Statement select =
      CK_TRY(database_->prepare(std::string(kColumns) + "WHERE job = ? ORDER BY begun_ms, rowid"));
  return entries(select.bind(job));
}

Result<std::vector<LogLine>> Journal::log(std::string_view handover, std::size_t limit) const {
  Statement select = CK_TRY(database_->prepare(
      "SELECT at_ms, handover, text FROM (SELECT * FROM log WHERE ?1 = '' OR handover = ?1 "
      "ORDER BY number DESC LIMIT ?2) ORDER BY number"));
  select.bind(handover).bind(static_cast<std::int64_t>(limit));
  std::vector<LogLine> lines;
  while (CK_TRY(select.step())) {
    lines.push_back({instant(select.number(0)), select.text(1), select.text(2)});
  }
  return lines;
}

Status Journal::forget(Instant before) {
  Transaction transaction = CK_TRY(Transaction::begin(*database_));
  Statement lines =
      CK_TRY(database_->prepare("DELETE FROM log WHERE at_ms < ?1 AND handover NOT IN "
                                "(SELECT id FROM handovers WHERE over = 0 OR changed_ms >= ?1)"));
  CK_TRY(lines.bind(milliseconds(before)).step());
  Statement rows =
      CK_TRY(database_->prepare("DELETE FROM handovers WHERE over = 1 AND changed_ms < ?1"));
  CK_TRY(rows.bind(milliseconds(before)).step());
  return transaction.commit();
}

}  // namespace ck::driver::journal
