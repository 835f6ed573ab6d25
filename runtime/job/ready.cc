#include "runtime/job/ready.h"

#include <sys/prctl.h>
#include <unistd.h>

namespace ck::job {

void tell_ready(UniqueFd& ready) {
  if (!ready) return;
  ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
  (void)!::write(ready.get(), "r", 1);
  ready.reset();
}

}  // namespace ck::job
