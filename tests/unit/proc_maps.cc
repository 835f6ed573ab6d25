#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>

#include "runtime/proc/maps.h"

namespace {

using namespace ck;
using namespace ck::proc;

const RealPid kSelf(::getpid());

void code_of_this_program() {}

const Mapping* find(const std::vector<Mapping>& maps, const void* address) {
  auto wanted = reinterpret_cast<std::uint64_t>(address);
  auto found =
      std::find_if(maps.begin(), maps.end(), [&](const Mapping& m) { return m.contains(wanted); });
  return found == maps.end() ? nullptr : &*found;
}

// A page of a file with this name, mapped privately; the file stays unless `unlinked`.
struct MappedFile {
  std::string path;
  void* address;
  MappedFile(const std::string& name, bool unlinked) : path("/tmp/ck_maps_" + name) {
    int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    BOOST_REQUIRE(fd >= 0 && ::ftruncate(fd, 8192) == 0);
    address = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 4096);
    ::close(fd);
    if (unlinked) ::unlink(path.c_str());
  }
  ~MappedFile() {
    ::munmap(address, 4096);
    ::unlink(path.c_str());
  }
};

BOOST_AUTO_TEST_SUITE(maps)

BOOST_AUTO_TEST_CASE(own_mappings) {
  auto maps = read_maps(kSelf).value();
  int local = 0;
  const Mapping* stack = find(maps, &local);
  BOOST_REQUIRE(stack);
  BOOST_TEST(stack->path == "[stack]");
  BOOST_TEST(stack->prot == (PROT_READ | PROT_WRITE));
  const Mapping* code = find(maps, reinterpret_cast<const void*>(&code_of_this_program));
  BOOST_REQUIRE(code);
  BOOST_TEST((code->prot & PROT_EXEC));
  struct stat exe {};
  BOOST_REQUIRE(::stat("/proc/self/exe", &exe) == 0);
  BOOST_TEST(code->inode == exe.st_ino);
  BOOST_TEST(code->dev == exe.st_dev);
}

BOOST_AUTO_TEST_CASE(names_that_are_hard) {
  for (const char* name : {"plain", "with space", "new\nline", "back\\012slash", "x (deleted)"}) {
    for (bool unlinked : {false, true}) {
      MappedFile file(name, unlinked);
      auto maps = read_maps(kSelf).value();
      const Mapping* found = find(maps, file.address);
      BOOST_REQUIRE(found);
      BOOST_TEST(found->path == file.path);
      BOOST_TEST(found->deleted == unlinked);
      BOOST_TEST(found->shared);
      BOOST_TEST(found->offset == 4096u);
    }
  }
}

BOOST_AUTO_TEST_CASE(flags_of_smaps) {
  void* page = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memset(page, 1, 4096);
  ::madvise(page, 8192, MADV_DONTFORK);
  ::madvise(page, 8192, MADV_DONTDUMP);
  ::madvise(page, 8192, MADV_WIPEONFORK);
  auto maps = read_smaps(kSelf).value();
  const Mapping* found = find(maps, page);
  BOOST_REQUIRE(found);
  std::uint64_t wanted = kVmDontFork | kVmDontDump | kVmWipeOnFork | kVmRead | kVmWrite;
  BOOST_TEST((found->vm_flags & wanted) == wanted);
  BOOST_TEST((found->vm_flags & kVmOther) == 0u);
  BOOST_TEST(found->rss == 4096u);
  BOOST_TEST(maps.size() == read_maps(kSelf).value().size());
  int local = 0;
  BOOST_TEST((find(maps, &local)->vm_flags & kVmGrowsDown));
  ::munmap(page, 8192);
}

BOOST_AUTO_TEST_CASE(broken_text_is_an_error) {
  BOOST_TEST(!parse_maps("nonsense\n", kSelf).ok());
  BOOST_TEST(!parse_maps("1000-2000 r-x", kSelf).ok());
  BOOST_TEST(!parse_maps("2000-1000 r-xp 0 0:0 0\n", kSelf).ok());
  BOOST_TEST(parse_maps("1000-2000 r-xp 0 0:0 0\n", kSelf).ok());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
