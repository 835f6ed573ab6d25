// A setgid program that gives its group back, as ssh-agent does: the loader has ignored the agent,
// and the ids do not tell why.
#include <unistd.h>

int main(void) {
  gid_t own = getgid();
  if (setresgid(own, own, own) != 0) return 1;
  sleep(20);
  return 0;
}
