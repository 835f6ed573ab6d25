// This process's own vdso plays the host's; copies of it play another kernel's.
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>

#include "runtime/proc/maps.h"
#include "runtime/restore/vdso_patch.h"

namespace {

using namespace ck;

using Bytes = std::vector<std::byte>;

struct Vdso {
  std::uint64_t address = 0;
  Bytes bytes;

  Vdso() {
    const auto maps = proc::read_maps(RealPid(::getpid()));
    BOOST_REQUIRE(maps.ok());
    for (const proc::Mapping& mapping : *maps) {
      if (mapping.path != "[vdso]") continue;
      address = mapping.begin;
      bytes.resize(mapping.size());
      std::memcpy(bytes.data(), reinterpret_cast<const void*>(address), bytes.size());
    }
  }
};

void rename(Bytes& vdso, const std::string& from, const std::string& to) {
  BOOST_REQUIRE_EQUAL(from.size(), to.size());
  const auto* text = reinterpret_cast<const std::byte*>(from.c_str());
  auto found = std::search(vdso.begin(), vdso.end(), text, text + from.size() + 1);
  BOOST_REQUIRE(found != vdso.end());
  std::memcpy(&*found, to.data(), to.size());
}

// A redirected vdso as a program would have it.
class Mapped {
 public:
  explicit Mapped(const Bytes& bytes) : size_(bytes.size()) {
    memory_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    BOOST_REQUIRE(memory_ != MAP_FAILED);
    std::memcpy(memory_, bytes.data(), size_);
    BOOST_REQUIRE_EQUAL(::mprotect(memory_, size_, PROT_READ | PROT_EXEC), 0);
  }
  ~Mapped() { ::munmap(memory_, size_); }

  template <typename Function>
  Function* at(std::uint64_t offset) const {
    return reinterpret_cast<Function*>(static_cast<char*>(memory_) + offset);
  }

 private:
  void* memory_;
  std::size_t size_;
};

std::uint64_t offset_of(const Bytes& vdso, const std::string& name) {
  for (const auto& [entry, offset] : restore::vdso_functions(vdso))
    if (entry == name) return offset;
  return 0;
}

double seconds(const timespec& time) {
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void check_clock(const Mapped& vdso, std::uint64_t offset) {
  timespec before{}, by_vdso{}, after{};
  ::clock_gettime(CLOCK_MONOTONIC, &before);
  BOOST_TEST(vdso.at<int(clockid_t, timespec*)>(offset)(CLOCK_MONOTONIC, &by_vdso) == 0);
  ::clock_gettime(CLOCK_MONOTONIC, &after);
  BOOST_TEST(seconds(before) <= seconds(by_vdso));
  BOOST_TEST(seconds(by_vdso) <= seconds(after));
}

}  // namespace

BOOST_AUTO_TEST_CASE(functions_lead_to_the_hosts) {
  const Vdso host;
  const std::uint64_t clock = offset_of(host.bytes, "__vdso_clock_gettime");
  const std::uint64_t time = offset_of(host.bytes, "__vdso_time");
  BOOST_REQUIRE(clock != 0);
  BOOST_REQUIRE(time != 0);
  const auto redirected = restore::redirect_vdso(host.bytes, host.bytes, host.address);
  BOOST_REQUIRE(redirected.ok());
  const Mapped mapped(*redirected);
  check_clock(mapped, clock);
  BOOST_TEST(std::abs(mapped.at<time_t(time_t*)>(time)(nullptr) - ::time(nullptr)) <= 1);
}

BOOST_AUTO_TEST_CASE(what_the_host_lacks_becomes_a_system_call) {
  const Vdso old;
  Vdso host;
  rename(host.bytes, "__vdso_clock_gettime", "__vdso_clock_someday");
  const auto redirected = restore::redirect_vdso(old.bytes, host.bytes, host.address);
  BOOST_REQUIRE(redirected.ok());
  const std::uint64_t offset = offset_of(old.bytes, "__vdso_clock_gettime");
  BOOST_TEST(std::to_integer<int>((*redirected)[offset]) == 0xb8);  // mov $number, %eax
  check_clock(Mapped(*redirected), offset);
}

BOOST_AUTO_TEST_CASE(an_unknown_function_is_refused_by_name) {
  Vdso old;
  const Vdso host;
  rename(old.bytes, "__vdso_clock_gettime", "__vdso_clock_someday");
  const auto redirected = restore::redirect_vdso(old.bytes, host.bytes, host.address);
  BOOST_REQUIRE(!redirected.ok());
  BOOST_TEST((redirected.error().kind == ErrorKind::kRefused));
  BOOST_TEST(redirected.error().message.find("clock_someday") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(damaged_ones_do_no_harm) {
  const Vdso host;
  for (std::size_t place = 0; place < host.bytes.size(); ++place) {
    Bytes damaged = host.bytes;
    damaged[place] ^= std::byte{0xff};
    (void)restore::redirect_vdso(std::move(damaged), host.bytes, host.address);
  }
  for (std::size_t size = 0; size < host.bytes.size(); size += 7) {
    Bytes shorter(host.bytes.begin(), host.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    (void)restore::redirect_vdso(std::move(shorter), host.bytes, host.address);
  }
}
