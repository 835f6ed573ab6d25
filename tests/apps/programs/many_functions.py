"""Prints a C program that keeps gcc busy: many functions with loops, calls and tables. Argument: how
many."""
import random
import sys

chance = random.Random(3)
print("#include <stdio.h>\n#include <string.h>\nstatic double table[64];")
count = int(sys.argv[1])
for number in range(count):
    terms = " + ".join(f"(x {chance.choice('&|^+*')} {chance.randrange(1, 99)}u) % "
                       f"{chance.randrange(3, 999)}u" for _ in range(12))
    callee = f"f{chance.randrange(number)}(s ^ i)" if number else "i"
    print(f"""unsigned f{number}(unsigned x) {{
  unsigned s = x;
  for (unsigned i = 0; i < {chance.randrange(2, 9)}; i++) {{
    switch ((s + i) % 7) {{
      case 0: s += {terms}; break;
      case 3: s ^= i < 1 ? {callee} : s >> 3; break;
      case 5: table[i] = table[i] * 1.5 + s; break;
      default: s = s * 2654435761u + i;
    }}
    for (int j = 0; j < 64; j++) table[j] += s * (double)j;
  }}
  return s;
}}""")
print("int main(void) { printf(\"%u\\n\", f" + str(count - 1) + "(7)); }")
