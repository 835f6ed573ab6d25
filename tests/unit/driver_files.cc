// Files that go along with a job: bundles, and what becomes of them where they come to, whatever
// happens in between.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <functional>
#include <map>

#include "driver/files/bundle.h"
#include "driver/files/compare.h"
#include "driver/files/list.h"
#include "driver/files/placement.h"
#include "runtime/base/timespec.h"
#include "runtime/image/bundle.h"
#include "tests/unit/temporary_folder.h"

namespace {

using namespace ck;
using namespace ck::driver::files;
namespace fs = std::filesystem;

template <typename Value>
Value good(Result<Value> result) {
  BOOST_REQUIRE_MESSAGE(result.ok(), (result.ok() ? "" : result.error().text()));
  return *std::move(result);
}
void good(const Status& status) {
  BOOST_REQUIRE_MESSAGE(status.ok(), (status.ok() ? "" : status.error().text()));
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Files at one host, and a place for them at another.
struct World {
  test::TemporaryFolder folder;
  std::string from = folder.file("from"), to = folder.file("to");
  Place place{folder.file("record"), "tag", {{from, to}}, folder.file("left")};

  World() {
    fs::create_directory(from);
    fs::create_directory(to);
  }

  void put(const std::string& name, const std::string& content) const {
    fs::create_directories(fs::path(from + "/" + name).parent_path());
    folder.write("from/" + name, content);
  }

  wire::List list(const std::string& top) const {
    std::map<std::string, wire::Entry> entries;
    for (const auto& item : fs::recursive_directory_iterator(top)) {
      wire::Entry entry;
      struct stat status {};
      BOOST_REQUIRE(::lstat(item.path().c_str(), &status) == 0);
      entry.set_path(item.path());
      entry.set_kind(S_ISDIR(status.st_mode)    ? wire::DIRECTORY
                     : S_ISLNK(status.st_mode)  ? wire::SYMLINK
                     : S_ISFIFO(status.st_mode) ? wire::FIFO
                                                : wire::REGULAR);
      entry.set_mode(status.st_mode & 01777);
      entry.set_mtime_ns(to_nanoseconds(status.st_mtim));
      if (entry.kind() == wire::SYMLINK) entry.set_target(fs::read_symlink(item.path()));
      if (entry.kind() == wire::REGULAR) entry.set_size(item.file_size());
      *entry.mutable_identity() = identity_of(status);
      entries[entry.path()] = entry;
    }
    wire::List list;
    list.add_trees(from);
    list.set_taken_unix_ns(::time(nullptr) * 1'000'000'000);
    for (const auto& [path, entry] : entries) *list.add_entries() = entry;
    return list;
  }

  std::string bundle(const wire::List* before = nullptr, wire::List* made = nullptr) const {
    const std::string path = folder.file("bundle");
    fs::remove(path);
    wire::List all = list(from);
    good(write_bundle(path, all, before));
    if (made != nullptr) *made = all;
    return path;
  }

  Status stage_all(const wire::List* before = nullptr, wire::List* made = nullptr) const {
    return stage(*good(image::open_bundle(bundle(before, made))), place);
  }

  // As the job leaves the host that the files came to.
  void leave() const { good(save_list(place.left, list(to))); }

  // All that is there, with content.
  std::map<std::string, std::string> all() const {
    std::map<std::string, std::string> found;
    for (const auto& item : fs::recursive_directory_iterator(to))
      found[item.path().string().substr(to.size())] =
          item.is_symlink()        ? "-> " + fs::read_symlink(item.path()).string()
          : item.is_regular_file() ? text_of(item.path())
                                   : "";
    return found;
  }
};

using Files = std::map<std::string, std::string>;

bool equal(const Files& one, const Files& other) {
  for (const auto& [path, content] : one) BOOST_TEST_MESSAGE(path + ": " + content.substr(0, 40));
  return one == other;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(driver_files)

BOOST_AUTO_TEST_CASE(all_kinds_arrive) {
  World world;
  world.put("deep/er/file", "text");
  world.put("empty", "");
  world.put("sparse", std::string(3 << 20, '\0') + "end");
  fs::resize_file(world.from + "/sparse", 9 << 20);
  fs::create_symlink("deep/er/file", world.from + "/link");
  BOOST_REQUIRE(::mkfifo((world.from + "/fifo").c_str(), 0640) == 0);
  const timespec times[2] = {{1000, 5}, {1000, 5}};
  ::utimensat(AT_FDCWD, (world.from + "/deep/er/file").c_str(), times, 0);
  ::chmod((world.from + "/deep/er/file").c_str(), 0640);
  ::chmod((world.from + "/deep").c_str(), 0750);
  good(world.stage_all());
  BOOST_TEST(text_of(world.to + "/deep/er/file") == "");
  for (int time = 0; time < 2; ++time) good(install(world.place));
  for (int time = 0; time < 2; ++time) good(settle(world.place));
  const Files files = world.all();
  BOOST_TEST(files.size() == 7u);
  BOOST_TEST(files.at("/deep/er/file") == "text");
  BOOST_TEST(files.at("/link") == "-> deep/er/file");
  BOOST_TEST((files.at("/sparse") == text_of(world.from + "/sparse")));
  struct stat status {};
  BOOST_REQUIRE(::lstat((world.to + "/deep/er/file").c_str(), &status) == 0);
  BOOST_TEST(to_nanoseconds(status.st_mtim) == 1'000'000'000'005);
  BOOST_TEST((status.st_mode & 07777) == 0640u);
  BOOST_TEST(status.st_nlink == 1u);
  BOOST_REQUIRE(::stat((world.to + "/deep").c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 07777) == 0750u);
  BOOST_REQUIRE(::lstat((world.to + "/fifo").c_str(), &status) == 0);
  BOOST_TEST(S_ISFIFO(status.st_mode));
  BOOST_REQUIRE(::stat((world.to + "/sparse").c_str(), &status) == 0);
  BOOST_TEST(status.st_blocks * 512 < 2 << 20);
}

BOOST_AUTO_TEST_CASE(what_has_changed_follows) {
  World world;
  world.put("same", "same");
  world.put("grows", "one");
  world.put("goes", "x");
  const timespec times[2] = {{1000, 0}, {1000, 0}};
  ::utimensat(AT_FDCWD, (world.from + "/same").c_str(), times, 0);
  wire::List before;
  good(world.stage_all(nullptr, &before));
  before.set_taken_unix_ns(before.taken_unix_ns() + 10'000'000'000);  // as if it had been long ago
  world.put("grows", "one two");
  world.put("new/er", "new");
  fs::remove(world.from + "/goes");
  wire::List list;
  good(world.stage_all(&before, &list));
  for (const wire::Entry& entry : list.entries())
    BOOST_TEST((entry.object() == 0) ==
               (entry.path().ends_with("same") || entry.kind() == wire::DIRECTORY));
  good(install(world.place));
  good(settle(world.place));
  BOOST_TEST(equal(world.all(),
                   {{"/same", "same"}, {"/grows", "one two"}, {"/new", ""}, {"/new/er", "new"}}));
}

// What was changed just before it was read has perhaps the same time after the next change.
BOOST_AUTO_TEST_CASE(what_is_new_is_sent_again) {
  World world;
  world.put("new", "one");
  wire::List before, list;
  (void)world.bundle(nullptr, &before);
  (void)world.bundle(&before, &list);
  BOOST_TEST(list.entries(0).object() != 0u);
  list = before;
  before.mutable_entries(0)->set_written(true);
  before.set_taken_unix_ns(before.taken_unix_ns() + 10'000'000'000);
  (void)world.bundle(&before, &list);
  BOOST_TEST(list.entries(0).object() != 0u);
}

BOOST_AUTO_TEST_CASE(others_files_are_in_the_way) {
  const std::map<std::string, std::function<void(const World&)>> kinds{
      {"content", [](const World& world) { world.folder.write("to/file", "else"); }},
      {"size", [](const World& world) { world.folder.write("to/file", "longer"); }},
      {"folder", [](const World& world) { fs::create_directory(world.to + "/file"); }},
      {"link", [](const World& world) { fs::create_symlink("/x", world.to + "/file"); }},
      {"file for a folder", [](const World& world) { world.folder.write("to/deep", ""); }},
      {"link for a folder",
       [](const World& world) { fs::create_symlink("x", world.to + "/deep"); }},
  };
  for (const auto& [name, make] : kinds) {
    BOOST_TEST_CONTEXT(name) {
      World world;
      world.put("file", "text");
      world.put("deep/file", "text");
      make(world);
      const Files before = world.all();
      const Status staged = world.stage_all();
      BOOST_REQUIRE(!staged.ok());
      BOOST_TEST(static_cast<int>(staged.error().kind) == static_cast<int>(ErrorKind::kRefused));
      good(take_back(world.place));
      BOOST_TEST(equal(world.all(), before));
    }
  }
}

// At any point: as it was.
BOOST_AUTO_TEST_CASE(all_is_taken_back) {
  for (int steps = 0; steps <= 3; ++steps) {
    for (const bool halfway : {false, true}) {
      BOOST_TEST_CONTEXT("after " << steps << (halfway ? " and a half" : "")) {
        World world;
        world.put("deep/er/new", "new");
        world.put("same", "same");
        world.put("own", "old");
        world.folder.write("to/same", "same");
        world.folder.write("to/own", "old");
        world.folder.write("to/gone", "removed by the job");
        world.leave();
        world.folder.write("to/other", "other");
        world.put("own", "newer");
        const Files before = world.all();
        if (steps >= 1) good(world.stage_all());
        if (steps >= 1 && halfway) {  // killed while it put one at its place
          wire::Placement placement = good(load_placement(world.place.record));
          for (const wire::Placed& file : placement.placed())
            if (file.path().ends_with("/new"))
              BOOST_REQUIRE(::link(file.temporary().c_str(), file.path().c_str()) == 0);
            else if (file.path().ends_with("/own"))
              BOOST_REQUIRE(::rename(file.path().c_str(), file.old().c_str()) == 0);
        }
        if (steps >= 2) good(install(world.place));
        if (steps == 2)
          BOOST_TEST((text_of(world.to + "/own") == "newer" && !fs::exists(world.to + "/gone")));
        if (steps >= 3) good(settle(world.place));
        good(take_back(world.place));
        Files after = before;
        if (steps >= 3) {  // these are the job's, and it has run
          after.erase("/own");
          after.erase("/same");  // of another time
          after.erase("/gone");
        }
        BOOST_TEST(equal(world.all(), after));
      }
    }
  }
}

// The link was cut when all of it had come.
BOOST_AUTO_TEST_CASE(it_is_sent_again) {
  World world;
  world.put("file", "text");
  world.put("own", "newer");
  world.folder.write("to/own", "old");
  world.folder.write("to/gone", "x");
  world.leave();
  const auto bundle = good(image::open_bundle(world.bundle()));
  for (const auto& step : {+[](const Place&) { return Status(); }, &install, &settle}) {
    good(stage(*bundle, world.place));
    good(step(world.place));
  }
  good(stage(*bundle, world.place));
  BOOST_TEST(equal(world.all(), {{"/file", "text"}, {"/own", "newer"}}));
}

BOOST_AUTO_TEST_CASE(what_is_changed_meanwhile_stays) {
  World world;
  world.put("new", "new");
  world.put("same", "same");
  world.folder.write("to/same", "same");
  good(world.stage_all());
  world.folder.write("to/new", "another's");
  BOOST_TEST(!install(world.place).ok());
  good(take_back(world.place));
  BOOST_TEST(equal(world.all(), {{"/new", "another's"}, {"/same", "same"}}));
  fs::remove(world.to + "/new");
  good(world.stage_all());
  world.folder.write("to/same", "other");
  BOOST_TEST(!install(world.place).ok());
  good(take_back(world.place));
  BOOST_TEST(equal(world.all(), {{"/same", "other"}}));
}

BOOST_AUTO_TEST_CASE(what_was_changed_since_the_job_left_is_in_the_way) {
  World world;
  world.put("own", "old");
  world.folder.write("to/own", "old");
  world.folder.write("to/gone", "x");
  world.leave();
  world.put("own", "newer");
  world.folder.write("to/gone", "y");
  BOOST_TEST(!world.stage_all().ok());
  fs::remove(world.to + "/gone");
  good(world.stage_all());
  good(take_back(world.place));
  world.folder.write("to/own", "theirs");
  BOOST_TEST(!world.stage_all().ok());
}

BOOST_AUTO_TEST_CASE(a_list_from_elsewhere_is_checked) {
  const std::map<std::string, std::function<void(wire::List&)>> mistakes{
      {"relative", [](auto& list) { list.mutable_entries(0)->set_path("file"); }},
      {"above", [](auto& list) { list.mutable_entries(0)->set_path("/a/../b"); }},
      {"not tidy", [](auto& list) { list.mutable_entries(0)->set_path("/a//b"); }},
      {"a NUL", [](auto& list) { list.mutable_entries(0)->set_path(std::string("/a\0b", 4)); }},
      {"kind", [](auto& list) { list.mutable_entries(0)->set_kind(static_cast<wire::Kind>(9)); }},
      {"setuid", [](auto& list) { list.mutable_entries(0)->set_mode(04755); }},
      {"link", [](auto& list) { list.mutable_entries(0)->set_kind(wire::SYMLINK); }},
      {"twice", [](auto& list) { *list.add_entries() = list.entries(0); }},
      {"object", [](auto& list) { list.mutable_entries(0)->set_object(99); }},
      {"size", [](auto& list) { list.mutable_entries(0)->set_size(kMostBytes + 1); }},
      {"tree", [](auto& list) { list.add_trees("tree"); }},
      {"many", [](auto& list) {
         list.clear_entries();
         for (int i = 0; i <= kMostFiles; ++i)
           list.add_entries()->set_path("/" + std::to_string(100'000 + i));
       }}};
  for (const auto& [name, make] : mistakes) {
    BOOST_TEST_CONTEXT(name) {
      test::TemporaryFolder folder;
      wire::List list;
      wire::Entry& entry = *list.add_entries();
      entry.set_path("/somewhere/file");
      entry.set_kind(wire::DIRECTORY);
      make(list);
      // As by a peer that does not look after it: it reads nothing of what is only named.
      for (auto& each : *list.mutable_entries())
        if (each.kind() == wire::REGULAR) each.set_kind(wire::DIRECTORY);
      good(write_bundle(folder.file("bundle"), list, nullptr));
      const auto read = read_list(*good(image::open_bundle(folder.file("bundle"))));
      BOOST_REQUIRE(!read.ok());
      BOOST_TEST(static_cast<int>(read.error().kind) == static_cast<int>(ErrorKind::kRefused));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_bundle_is_no_image) {
  World world;
  world.put("file", "text");
  BOOST_TEST(!image::Reader::open(world.bundle(), true).ok());
}

BOOST_AUTO_TEST_CASE(paths_are_mapped) {
  const auto map = [](std::initializer_list<const char*> texts, const std::string& path) {
    PathMaps maps;
    for (const char* text : texts) maps.push_back(good(parse_path_map(text)));
    return mapped(maps, path);
  };
  BOOST_TEST(map({"/a=/b"}, "/a") == "/b");
  BOOST_TEST(map({"/a=/b"}, "/a/c") == "/b/c");
  BOOST_TEST(map({"/a=/b"}, "/ab") == "/ab");
  BOOST_TEST(map({"//a//=/b/"}, "/a/c") == "/b/c");
  BOOST_TEST(map({"/=/b"}, "/a") == "/b/a");
  BOOST_TEST(map({"/=/b"}, "/") == "/b");
  BOOST_TEST(map({"/a=/"}, "/a") == "/");
  BOOST_TEST(map({"/a=/"}, "/a/c") == "/c");
  BOOST_TEST(map({"/a/c=/x", "/a=/b"}, "/a/c/d") == "/x/d");
  BOOST_TEST(map({"/a=/b"}, "relative") == "relative");
  for (const char* text : {"", "=", "/a", "/a=b", "a=/b", "/a=/../b", "/./a=/b"})
    BOOST_TEST(!parse_path_map(text).ok());
}

BOOST_AUTO_TEST_SUITE_END()
