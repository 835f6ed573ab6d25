// A child that shares its parent's working directory without being a thread: ckpt must refuse by
// name and leave it alone.
#include "sharing_child.h"

int main(void) {
  return with_sharing_child(CLONE_FS);
}
