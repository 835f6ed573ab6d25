// SQLite with Result<T>: a database that is open, and prepared statements. Knows no table. One
// thread at a time. Not for anything that must work with SQLite's own threads or several writers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace ck::driver::journal {

class Statement {
 public:
  // `sql` must hold one statement. Values are bound in order.
  Statement& bind(std::int64_t value);
  Statement& bind(std::string_view value);
  // Whether there is a row. false: the statement is over.
  Result<bool> step();

  std::int64_t number(int column) const;
  std::string text(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(sqlite3_stmt* statement, sqlite3* database, const std::string* path)
      : statement_(statement), database_(database), path_(path) {}

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  sqlite3* database_;
  const std::string* path_;
  int bound_ = 0;
  int bind_error_ = 0;
};

class Database {
 public:
  // The file must exist; an empty one is a new database.
  static Result<std::unique_ptr<Database>> open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<Statement> prepare(std::string_view sql) const;
  // One or several statements without values; rows are dropped.
  Status run(const char* sql);
  // The first column of the first row.
  Result<std::int64_t> number(std::string_view sql) const;
  Result<std::string> text(std::string_view sql) const;
  // Rows that the last INSERT, UPDATE or DELETE has changed.
  std::int64_t changes() const;

  const std::string& path() const { return path_; }

 private:
  Database(std::string path, sqlite3* database) : path_(std::move(path)), database_(database) {}
  std::string path_;
  sqlite3* database_;
};

// BEGIN IMMEDIATE; rolled back unless committed.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  // After an error the changes are on disk or not: nobody knows.
  Status commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace ck::driver::journal
