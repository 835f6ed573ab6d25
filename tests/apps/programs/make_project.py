"""Writes a C project of 50 files with a makefile into the current folder."""
FILES = 50


def source(number):
    lines = ["#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>", '#include "all.h"']
    for function in range(14):
        lines += [
            f"static unsigned part{function}(unsigned x) {{",
            f"  for (unsigned i = 0; i < {function + 3}; i++)",
            f"    x = x * {1103515245 + 2 * number}u + (x >> {function % 13 + 1}) + i;",
            "  return x;", "}"]
    calls = " ^ ".join(f"part{function}(x + {function}u)" for function in range(14))
    lines += [f"unsigned value{number}(unsigned x) {{ return {calls}; }}", ""]
    return "\n".join(lines)


def main():
    for number in range(FILES):
        with open(f"unit{number}.c", "w", encoding="ascii") as file:
            file.write(source(number))
    with open("all.h", "w", encoding="ascii") as file:
        file.write("".join(f"unsigned value{number}(unsigned);\n" for number in range(FILES)))
    with open("main.c", "w", encoding="ascii") as file:
        calls = "".join(f"  sum = sum * 31 + value{number}(sum);\n" for number in range(FILES))
        file.write('#include <stdio.h>\n#include "all.h"\nint main(void) {\n  unsigned sum = 1;\n'
                   + calls + '  printf("%u\\n", sum);\n  return 0;\n}\n')
    with open("Makefile", "w", encoding="ascii") as file:
        objects = " ".join(["main.o", *(f"unit{number}.o" for number in range(FILES))])
        file.write(f"program: {objects}\n\t$(CC) -o $@ $^\n\t@echo linked\n"
                   "%.o: %.c all.h\n\t$(CC) -O2 -c -o $@ $<\n"
                   f"clean:\n\trm -f program {objects}\n")


main()
