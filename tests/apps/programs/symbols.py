"""For gdb -batch -x: reads a program's symbols, evaluates, and computes in its Python."""
import gdb

total = 0
for number in range(1, 81):
    text = gdb.execute("info functions ^main", to_string=True)
    total = (total * 31 + len(text)) % 1000003
    for value in range(4000):
        answer = int(gdb.parse_and_eval(f"({total} * 7 + {value}) % 10007"))
        total = (total * 31 + answer) % 1000003
    lines = gdb.execute("disassemble /r main", to_string=True).count("\n")
    print(number, total, lines, flush=True)
