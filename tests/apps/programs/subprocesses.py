"""asyncio with subprocesses: several at a time, talked to through pipes. Argument: how many."""
import asyncio
import sys

FILTER = "import sys\nfor line in sys.stdin: print(int(line) ** 2 % 1009, flush=True)"


async def ask(number):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FILTER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    total = 0
    for value in range(200):
        child.stdin.write(f"{number * 1000 + value}\n".encode())
        await child.stdin.drain()
        total += int(await child.stdout.readline())
    child.stdin.close()
    return total, await child.wait()


async def shell(number):
    child = await asyncio.create_subprocess_shell(
        f"sleep 0.1; seq {number} | tail -n 1; exit 3", stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    return output.decode().strip(), child.returncode


async def main():
    for number in range(1, int(sys.argv[1]) + 1):
        answers = await asyncio.gather(ask(number), ask(number + 50), shell(number),
                                       asyncio.sleep(0.01, "slept"))
        print(number, *answers, flush=True)


asyncio.run(main())
