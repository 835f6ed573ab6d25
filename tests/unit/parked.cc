#include "tests/unit/parked.h"

#include "runtime/abi/serve.h"

namespace ck::test {

void serve(const ControlArea& area, unsigned slot) {
  abi::serve(area.slot(slot), area.header());
}

}  // namespace ck::test
