// The agent's way to the functions behind its wrappers finds what dlsym(3) finds.
#include <boost/test/unit_test.hpp>

#include "interpose/real.h"

namespace {

using ck::agent::NextLibraries;
using ck::agent::symbol_hash;

constexpr const char* kWrappers[] = {
#define CK_WRAPPER(name, kind) #name,
#include "interpose/wrappers.def"
#undef CK_WRAPPER
};

const int own = 0;

BOOST_AUTO_TEST_CASE(every_wrapper) {
  const NextLibraries libraries(&own);
  for (const char* name : kWrappers)
    BOOST_TEST(libraries.find(name, symbol_hash(name)) == dlsym(RTLD_NEXT, name), name);
}

// One that has older versions too, and one that the processor chooses.
BOOST_AUTO_TEST_CASE(odd_symbols) {
  const NextLibraries libraries(&own);
  BOOST_TEST(libraries.find("pthread_cond_wait", symbol_hash("pthread_cond_wait")) ==
             dlsym(RTLD_NEXT, "pthread_cond_wait"));
  BOOST_TEST(libraries.find("mempcpy", symbol_hash("mempcpy")) == nullptr);
  BOOST_TEST(libraries.find("no_such_function", symbol_hash("no_such_function")) == nullptr);
}

}  // namespace
