// A child that shares its parent's descriptors without being a thread: ckpt must refuse by name and
// leave it alone.
#include "sharing_child.h"

int main(void) {
  return with_sharing_child(CLONE_FILES);
}
