// main() of every unit test program.
#define BOOST_TEST_MODULE CK_UNIT_TEST
#include <boost/test/unit_test.hpp>
