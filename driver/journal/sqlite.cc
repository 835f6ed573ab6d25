#include "driver/journal/sqlite.h"

#include <sqlite3.h>

namespace ck::driver::journal {

namespace {

ErrorKind kind_of(int code) {
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorKind::kTryAgain;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorKind::kBadImage;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_TOOBIG:
      return ErrorKind::kCannotWrite;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorKind::kPermission;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return ErrorKind::kBug;
    default:
      return ErrorKind::kSystem;
  }
}

const char* hint_of(int code) {
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "is another ckd running with the same state folder?";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "keep the file; sqlite3's .recover may show which hand-overs were open, and ckpt "
             "resolve ends them at the peers";
    case SQLITE_FULL:
      return "make room on its file system";
    default:
      return "";
  }
}

Error error_of(sqlite3* database, int code, const std::string& path) {
  const int primary = code & 0xff;
  std::string reason = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  // What the operating system said is more than "disk I/O error".
  const int errnum = database != nullptr ? sqlite3_system_errno(database) : 0;
  if (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) {
    if (errnum != 0) return sys_error("use the journal " + path, errnum);
  }
  return make_error(kind_of(primary), "cannot use the journal " + path + ": " + reason,
                    hint_of(primary));
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);  // repeats the error of the last step, which was returned already
}

Statement& Statement::bind(std::int64_t value) {
  bind_error_ |= sqlite3_bind_int64(statement_.get(), ++bound_, value);
  return *this;
}

Statement& Statement::bind(std::string_view value) {
  // Never null: an empty string is not NULL.
  const char* data = value.data() != nullptr ? value.data() : "";
  bind_error_ |= sqlite3_bind_text(statement_.get(), ++bound_, data, static_cast<int>(value.size()),
                                   SQLITE_TRANSIENT);
  return *this;
}

Result<bool> Statement::step() {
  if (bind_error_ != 0) return error_of(nullptr, bind_error_, *path_);
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return error_of(database_, code, *path_);
}

std::int64_t Statement::number(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::string()
                          : std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(path, raw));
  if (code != SQLITE_OK) return error_of(raw, code, path);
  sqlite3_extended_result_codes(raw, 1);
  return database;
}

Database::~Database() {
  sqlite3_close_v2(database_);
}

Result<Statement> Database::prepare(std::string_view sql) const {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v2(database_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return error_of(database_, code, path_);
  return Statement(statement, database_, &path_);
}

Status Database::run(const char* sql) {
  const int code = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error_of(database_, code, path_);
  return {};
}

Result<std::int64_t> Database::number(std::string_view sql) const {
  Statement statement = CK_TRY(prepare(sql));
  if (!CK_TRY(statement.step())) return std::int64_t{0};
  return statement.number(0);
}

Result<std::string> Database::text(std::string_view sql) const {
  Statement statement = CK_TRY(prepare(sql));
  if (!CK_TRY(statement.step())) return std::string();
  return statement.text(0);
}

std::int64_t Database::changes() const {
  return sqlite3_changes64(database_);
}

Result<Transaction> Transaction::begin(Database& database) {
  CK_TRY(database.run("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  // Fails where SQLite has rolled back by itself.
  if (database_ != nullptr) static_cast<void>(database_->run("ROLLBACK"));
}

Status Transaction::commit() {
  CK_TRY(database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace ck::driver::journal
