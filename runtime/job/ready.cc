#include "runtime/job/ready.h"

#include <unistd.h>

namespace ck::job {

void tell_ready(UniqueFd& ready) {
  if (!ready) return;
  (void)!::write(ready.get(), "r", 1);
  ready.reset();
}

}  // namespace ck::job
