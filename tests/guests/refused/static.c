// A statically linked program: the agent cannot live in it, and ckrun must say so.
#include <stdio.h>

int main(void) {
  puts("this must not run under ckrun");
  return 0;
}
