// The journal of hand-overs: what it says is durable is there, whatever happens to its writer.
#include "driver/journal/journal.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <functional>
#include <random>

#include "runtime/base/unique_fd.h"
#include "tests/unit/temporary_folder.h"

namespace {

using namespace ck;
using namespace ck::driver;
using namespace ck::driver::journal;
using handover::Record;
using handover::Terms;
using Phase = handover::Record::Phase;
using ck::test::TemporaryFolder;

const Instant kNow{std::chrono::milliseconds(1'700'000'000'123)};

Instant later(int seconds) {
  return kNow + std::chrono::seconds(seconds);
}

Terms terms(const std::string& id, const std::string& job = "job-1") {
  return {id, job, {7, "h\xf6st", 4711, 0xfedcba9876543210}, true};
}

struct Fixture {
  TemporaryFolder folder;
  std::string path = folder.file("journal.sqlite");

  std::unique_ptr<Journal> open() {
    auto journal = Journal::open(path);
    BOOST_REQUIRE_MESSAGE(journal.ok(), (journal.ok() ? "" : journal.error().text()));
    return std::move(*journal);
  }
  void expect_refused(ErrorKind kind, const std::string& message) {
    const auto journal = Journal::open(path);
    BOOST_REQUIRE(!journal.ok());
    BOOST_TEST((journal.error().kind == kind), journal.error().text());
    BOOST_TEST(journal.error().message.find(message) != std::string::npos, journal.error().message);
    BOOST_TEST(journal.error().message.find(path) != std::string::npos);
    BOOST_TEST(journal.error().text().find('\n') == std::string::npos);
  }
  void sql(const std::string& text) {
    sqlite3* database = nullptr;
    BOOST_REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
    BOOST_TEST(sqlite3_exec(database, text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
  }
};

// Runs `body` in a forked child; its result is the exit status.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

bool write_file(const char* path, const std::string& text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// As root at once, else inside a user namespace.
bool private_mounts() {
  const std::string uid = std::to_string(::getuid());
  const std::string gid = std::to_string(::getgid());
  if (::unshare(CLONE_NEWNS) == 0)
    return ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return write_file("/proc/self/uid_map", "0 " + uid + " 1") &&
         write_file("/proc/self/setgroups", "deny") &&
         write_file("/proc/self/gid_map", "0 " + gid + " 1");
}

constexpr int kNotPossibleHere = 77;

// Writes records with rising counters until it fails; 0 if it failed as it should and the file is
// whole and holds exactly what was acknowledged.
int fill_up(const std::string& path) {
  std::uint64_t acknowledged = 0;
  {
    auto journal = Journal::open(path);
    if (!journal.ok()) return 1;
    for (std::uint64_t i = 1;; ++i) {
      if (i > 100'000) return 2;
      const Status status = (*journal)->write(terms("id-" + std::to_string(i)),
                                              {.phase = Phase::kGiven, .counter = i},
                                              {"peer", "ann"}, std::string(1000, 'x'), kNow);
      if (!status.ok()) {
        if (status.error().kind != ErrorKind::kCannotWrite) return 3;
        break;
      }
      acknowledged = i;
    }
    if (acknowledged == 0) return 4;
    const auto entries = (*journal)->unfinished();  // it can still be read
    if (!entries.ok() || entries->size() != acknowledged) return 5;
  }
  auto journal = Journal::open(path);
  if (!journal.ok()) return 6;
  const auto entries = (*journal)->unfinished();
  if (!entries.ok()) return 7;
  return entries->size() == acknowledged || entries->size() == acknowledged + 1 ? 0 : 8;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(journal_file, Fixture)

BOOST_AUTO_TEST_CASE(what_is_written_is_found_again) {
  {
    const auto journal = open();
    BOOST_TEST(!journal->find("a")->has_value());
    BOOST_REQUIRE(
        journal->write(terms("a"), {Phase::kPausing, 8, false, false}, {"b", "ann"}, "", kNow)
            .ok());
    BOOST_REQUIRE(journal
                      ->write(terms("a"), {Phase::kGiven, 8, true, true}, {"b", "ann"},
                              "/img/gen-000001.ckpt", later(1))
                      .ok());
    BOOST_REQUIRE(
        journal->write(terms("a"), {Phase::kGiven, 8, true, true}, {"b", "ann"}, "", later(2))
            .ok());
  }
  const auto journal = open();
  const auto entry = journal->find("a");
  BOOST_REQUIRE(entry.ok());
  BOOST_REQUIRE(entry->has_value());
  BOOST_TEST(((*entry)->terms == terms("a")));
  BOOST_TEST(((*entry)->record == Record{Phase::kGiven, 8, true, true}));
  BOOST_TEST((*entry)->peer == "b");
  BOOST_TEST((*entry)->user == "ann");
  BOOST_TEST((*entry)->image == "/img/gen-000001.ckpt");
  BOOST_TEST(((*entry)->begun == kNow));
  BOOST_TEST(((*entry)->changed == later(2)));
}

BOOST_AUTO_TEST_CASE(every_phase) {
  const auto journal = open();
  for (int i = 0; i <= static_cast<int>(Phase::kGivenUpDone); ++i) {
    const auto phase = static_cast<Phase>(i);
    const std::string id = "id-" + std::to_string(i);
    BOOST_REQUIRE(
        journal->write(terms(id), {.phase = phase, .counter = 8}, {"b", "ann"}, "", kNow).ok());
    BOOST_TEST(((*journal->find(id))->record.phase == phase));
  }
  BOOST_TEST(journal->unfinished()->size() == 8u);
  BOOST_TEST(journal->of_job("job-1")->size() == 12u);
  BOOST_TEST(journal->of_job("job-2")->empty());
}

BOOST_AUTO_TEST_CASE(unfinished_ones_come_oldest_first) {
  const auto journal = open();
  for (const char* id : {"c", "a", "b"})
    BOOST_REQUIRE(journal->write(terms(id), {.phase = Phase::kReady}, {"p", "ann"}, "", kNow).ok());
  BOOST_REQUIRE(
      journal->write(terms("z"), {.phase = Phase::kReady}, {"p", "ann"}, "", later(-1)).ok());
  BOOST_REQUIRE(
      journal->write(terms("a"), {.phase = Phase::kTakenDone}, {"p", "ann"}, "", later(9)).ok());
  const auto entries = journal->unfinished();
  BOOST_REQUIRE(entries->size() == 3u);
  BOOST_TEST((*entries)[0].terms.id == "z");
  BOOST_TEST((*entries)[1].terms.id == "c");
  BOOST_TEST((*entries)[2].terms.id == "b");
}

BOOST_AUTO_TEST_CASE(an_id_keeps_its_terms) {
  const auto journal = open();
  BOOST_REQUIRE(
      journal->write(terms("a"), {.phase = Phase::kPausing}, {"b", "ann"}, "", kNow).ok());
  const auto refused = [&](const Terms& other, Phase phase, const char* peer) {
    const Status status = journal->write(other, {.phase = phase}, {peer, "ann"}, "", kNow);
    BOOST_REQUIRE(!status.ok());
    BOOST_TEST((status.error().kind == ErrorKind::kBug));
  };
  refused(terms("a", "job-2"), Phase::kGiven, "b");
  refused(terms("a"), Phase::kReady, "b");  // of the other side
  refused(terms("a"), Phase::kGiven, "c");
  BOOST_TEST(!journal->write(terms("a"), {.phase = Phase::kGiven}, {"b", "bob"}, "", kNow).ok());
  Terms other = terms("a");
  other.token.counter = 8;
  refused(other, Phase::kGiven, "b");
  BOOST_TEST(((*journal->find("a"))->record.phase == Phase::kPausing));
  BOOST_TEST(journal->log("", 10)->size() == 1u);  // what was refused left no line either
}

BOOST_AUTO_TEST_CASE(the_log) {
  const auto journal = open();
  BOOST_REQUIRE(
      journal->write(terms("a"), {Phase::kReady, 8, true, true}, {"b", "ann"}, "", kNow).ok());
  BOOST_REQUIRE(journal->note("a", "asked b: no answer", later(1)).ok());
  BOOST_REQUIRE(journal->note("", "ckd started", later(2)).ok());
  const auto lines = journal->log("a", 10);
  BOOST_REQUIRE(lines->size() == 2u);
  BOOST_TEST((*lines)[0].text == "target, peer b: ready, incarnation 8, by an administrator");
  BOOST_TEST((*lines)[1].text == "asked b: no answer");
  BOOST_TEST(((*lines)[1].when == later(1)));
  const auto newest = journal->log("", 2);
  BOOST_REQUIRE(newest->size() == 2u);
  BOOST_TEST((*newest)[1].text == "ckd started");
}

BOOST_AUTO_TEST_CASE(only_what_is_over_is_forgotten) {
  const auto journal = open();
  BOOST_REQUIRE(
      journal->write(terms("old"), {.phase = Phase::kKeptDone}, {"b", "ann"}, "", kNow).ok());
  BOOST_REQUIRE(
      journal->write(terms("open"), {.phase = Phase::kReady}, {"b", "ann"}, "", kNow).ok());
  BOOST_REQUIRE(
      journal->write(terms("new"), {.phase = Phase::kKeptDone}, {"b", "ann"}, "", later(100)).ok());
  BOOST_REQUIRE(journal->forget(later(50)).ok());
  BOOST_TEST(!journal->find("old")->has_value());
  BOOST_TEST(journal->find("open")->has_value());
  BOOST_TEST(journal->find("new")->has_value());
  BOOST_TEST(journal->log("old", 10)->empty());
  BOOST_TEST(journal->log("open", 10)->size() == 1u);
}

BOOST_AUTO_TEST_CASE(nobody_else_can_read_or_write_it) {
  const mode_t mask = ::umask(0);
  const auto journal = open();
  BOOST_REQUIRE(journal->note("", "x", kNow).ok());
  ::umask(mask);
  for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
    struct stat status;
    BOOST_REQUIRE(::stat(file.path().c_str(), &status) == 0);
    BOOST_TEST((status.st_mode & 0777) == 0600u, file.path().string());
  }
}

BOOST_AUTO_TEST_CASE(one_that_others_can_write_is_refused) {
  open();
  BOOST_REQUIRE(::chmod(path.c_str(), 0620) == 0);
  expect_refused(ErrorKind::kPermission, "others may write it");
}

BOOST_AUTO_TEST_CASE(one_that_is_open_elsewhere) {
  const auto journal = open();
  expect_refused(ErrorKind::kTryAgain, "locked");  // this process
  const int status = in_child([&] {
    const auto second = Journal::open(path);
    return !second.ok() && second.error().kind == ErrorKind::kTryAgain ? 0 : 1;
  });
  BOOST_TEST(status == 0);
  BOOST_TEST(journal->note("", "still mine", kNow).ok());
}

BOOST_AUTO_TEST_CASE(one_of_a_newer_version) {
  open();
  sql("PRAGMA user_version = 3");
  expect_refused(ErrorKind::kBadImage,
                 "was written by a newer version of ckd (3, this one reads 2)");
}

BOOST_AUTO_TEST_CASE(one_of_version_1_did_not_note_users) {
  BOOST_REQUIRE(open()->write(terms("a"), {.phase = Phase::kPausing}, {"b", "ann"}, "", kNow).ok());
  sql("ALTER TABLE handovers DROP COLUMN user; PRAGMA user_version = 1");
  BOOST_TEST((*open()->find("a"))->user.empty());
  BOOST_TEST(open()->write(terms("a"), {.phase = Phase::kKept}, {"b", "ann"}, "", kNow).ok());
  BOOST_TEST((*open()->find("a"))->user == "ann");
}

BOOST_AUTO_TEST_CASE(an_image_is_noted) {
  BOOST_TEST(!open()->set_image("a", "/img", kNow).ok());
  BOOST_REQUIRE(
      open()->write(terms("a"), {.phase = Phase::kPausing}, {"b", "ann"}, "/job/", kNow).ok());
  BOOST_REQUIRE(open()->set_image("a", "/job/gen-000001.ckpt", later(1)).ok());
  const auto entry = open()->find("a");
  BOOST_TEST((*entry)->image == "/job/gen-000001.ckpt");
  BOOST_TEST(((*entry)->record.phase == Phase::kPausing));
  BOOST_TEST(((*entry)->changed == later(1)));
}

BOOST_AUTO_TEST_CASE(one_of_another_program) {
  sql("CREATE TABLE t (x)");
  BOOST_REQUIRE(::chmod(path.c_str(), 0600) == 0);
  expect_refused(ErrorKind::kBadImage, "is another program's database");
}

BOOST_AUTO_TEST_CASE(one_that_is_no_database) {
  folder.write("journal.sqlite", std::string(5000, 'x'));
  BOOST_REQUIRE(::chmod(path.c_str(), 0600) == 0);
  expect_refused(ErrorKind::kBadImage, "not a database");
}

BOOST_AUTO_TEST_CASE(a_folder_a_fifo_and_a_link_are_no_journals) {
  BOOST_REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  BOOST_TEST(!Journal::open(path).ok());
  BOOST_REQUIRE(::rmdir(path.c_str()) == 0);
  BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  expect_refused(ErrorKind::kBadImage, "is not a regular file");
  BOOST_REQUIRE(::unlink(path.c_str()) == 0);
  BOOST_REQUIRE(::symlink("elsewhere", path.c_str()) == 0);
  BOOST_TEST(!Journal::open(path).ok());
  BOOST_TEST(!std::filesystem::exists(folder.file("elsewhere")));
  BOOST_TEST(!Journal::open(folder.file("none/journal.sqlite")).ok());
}

BOOST_AUTO_TEST_CASE(a_phase_that_there_is_not) {
  BOOST_REQUIRE(open()->write(terms("a"), {.phase = Phase::kReady}, {"b", "ann"}, "", kNow).ok());
  sql("UPDATE handovers SET phase = 'given' WHERE id = 'a'");  // a target never is
  const auto journal = open();
  BOOST_REQUIRE(!journal->unfinished().ok());
  BOOST_TEST((journal->unfinished().error().kind == ErrorKind::kBadImage));
}

// Every byte of it damaged, one page at a time: refused, or what is read is what was written.
BOOST_AUTO_TEST_CASE(damage) {
  {
    const auto journal = open();
    for (int i = 0; i < 40; ++i) {
      BOOST_REQUIRE(journal
                        ->write(terms("id-" + std::to_string(i)),
                                {.phase = Phase::kReady, .counter = 8}, {"b", "ann"},
                                std::string(300, 'i'), kNow)
                        .ok());
    }
  }
  std::string bytes;
  {
    std::ifstream in(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::mt19937 random(5);
  int refused = 0;
  for (int round = 0; round < 200; ++round) {
    std::string damaged = bytes;
    const std::size_t page = random() % (bytes.size() / 4096);
    switch (round % 3) {
      case 0:
        for (std::size_t i = 0; i < 4096; ++i)
          damaged[page * 4096 + i] = static_cast<char>(random());
        break;
      case 1:
        damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
        break;
      default:
        damaged.resize(random() % damaged.size());
        break;
    }
    std::filesystem::remove(path + "-wal");
    folder.write("journal.sqlite", damaged);
    const auto journal = Journal::open(path);
    if (!journal.ok()) {
      BOOST_TEST(journal.error().text().find('\n') == std::string::npos);
      ++refused;
      continue;
    }
    const auto entries = (*journal)->unfinished();
    static_cast<void>((*journal)->log("", 100));
    static_cast<void>(
        (*journal)->write(terms("new"), {.phase = Phase::kReady}, {"b", "ann"}, "", kNow));
    if (!entries.ok()) ++refused;
  }
  BOOST_TEST(refused > 100);
}

// What write() has returned from is there after SIGKILL, and nothing that was not asked for.
BOOST_AUTO_TEST_CASE(writers_that_are_killed) {
  std::mt19937 random(11);
  std::uint64_t before = 0;
  for (int round = 0; round < 25; ++round) {
    int said[2];
    BOOST_REQUIRE(::pipe2(said, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto journal = Journal::open(path);
      if (!journal.ok()) ::_exit(1);
      for (std::uint64_t counter = before + 1;; ++counter) {
        const Phase phase = counter % 2 == 0 ? Phase::kKept : Phase::kGiven;
        if (!(*journal)
                 ->write(terms("a"), {.phase = phase, .counter = counter}, {"b", "ann"},
                         std::to_string(counter), kNow)
                 .ok())
          ::_exit(2);
        if (::write(said[1], &counter, sizeof counter) != sizeof counter) ::_exit(3);
      }
    }
    ::close(said[1]);
    std::uint64_t acknowledged = before;
    const auto wanted = before + 1 + random() % 30;
    while (acknowledged < wanted)
      BOOST_REQUIRE(::read(said[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged);
    // Some of the way into a write that follows.
    const timespec moment{0, static_cast<long>(random() % 2'000'000)};
    ::nanosleep(&moment, nullptr);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    BOOST_REQUIRE(WIFSIGNALED(status));
    std::uint64_t more = 0;
    while (::read(said[0], &more, sizeof more) == sizeof more) acknowledged = more;
    ::close(said[0]);

    const auto entry = *open()->find("a");
    BOOST_REQUIRE(entry.has_value());
    const std::uint64_t found = entry->record.counter;
    BOOST_TEST((found == acknowledged || found == acknowledged + 1));
    BOOST_TEST(entry->image == std::to_string(found));
    BOOST_TEST((entry->record.phase == (found % 2 == 0 ? Phase::kKept : Phase::kGiven)));
    before = found;
  }
  BOOST_TEST(open()->log("a", 100'000)->size() == before);
}

BOOST_AUTO_TEST_CASE(a_full_file_system) {
  const int status = in_child([&] {
    if (!private_mounts()) return kNotPossibleHere;
    if (::mount("none", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) return kNotPossibleHere;
    return fill_up(path);
  });
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotPossibleHere) {
    BOOST_TEST_MESSAGE("no private mount namespace to be had here");
  } else {
    BOOST_TEST(status == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_limit_on_file_sizes) {
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{500'000, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    return fill_up(path);
  });
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
