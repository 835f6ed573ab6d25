// How an io_uring was set up, seen from outside: every layout is told from every other.
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "runtime/resources/io_uring_ring.h"

namespace ck::resources {
namespace {

UniqueFd set_up(unsigned entries, std::uint32_t flags) {
  io_uring_params params{};
  params.flags = flags;
  return UniqueFd(static_cast<int>(::syscall(SYS_io_uring_setup, entries, &params)));
}

BOOST_AUTO_TEST_SUITE(io_uring)

BOOST_AUTO_TEST_CASE(layouts_are_told_apart) {
  for (unsigned entries : {1u, 8u, 64u, 1024u, 4096u}) {
    for (std::uint32_t flags : {0u, unsigned{IORING_SETUP_CQE32}, unsigned{IORING_SETUP_SQE128},
                                unsigned{IORING_SETUP_CQE32 | IORING_SETUP_SQE128}, kSetupNoSqArray,
                                kSetupNoSqArray | IORING_SETUP_CQE32}) {
      UniqueFd fd = set_up(entries, flags);
      if (!fd) continue;  // a kernel that does not know the flag
      Ring ring = Ring::open(std::move(fd)).value();
      const RingLayout layout = ring.find_layout().value();
      BOOST_TEST_CONTEXT("entries " << entries << ", flags " << flags) {
        BOOST_TEST(layout.flags == flags);
        BOOST_TEST(layout.submission_entries == entries);
        BOOST_TEST(layout.completion_entries == 2 * entries);
        const RingState state = ring.state().value();
        BOOST_TEST(state.offered == 0u);
        BOOST_TEST(state.seen == 0u);
        BOOST_TEST(state.polling_thread == -1);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(an_awake_polling_thread_is_not_disturbed) {
  UniqueFd fd = set_up(8, IORING_SETUP_SQPOLL);
  if (!fd) return;
  Ring ring = Ring::open(std::move(fd)).value();
  const RingState state = ring.state().value();
  BOOST_TEST(state.polling_thread > 0);
  if (state.needs_wakeup) return;
  const Result<RingLayout> layout = ring.find_layout();
  BOOST_TEST((layout.ok() || layout.error().passes));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace ck::resources
