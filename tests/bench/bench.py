#!/usr/bin/python3
"""Figures: pause, checkpoint time, image size, restart time for memory of three kinds; what system
calls cost under ckrun. Medians, with the machine's facts. Nothing here passes or fails.

  bench.py [--build build/release] [--megabytes 1024] [--runs 5]
           [--part calls|modes|launch|freeze|memory]
"""
import argparse
import json
import mmap
import os
import platform
import re
import statistics
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import processes  # noqa: E402
from harness.job import Bench, Job  # noqa: E402


class Ticks:
    """The page in which the program notes its last tick and its longest gap."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def word(self, index):
        return struct.unpack_from("<Q", self.page, 8 * index)[0]

    def write(self, index, value):
        struct.pack_into("<Q", self.page, 8 * index, value)


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next((line.split(":")[1].strip() for line in file if "model name" in line), "?")
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) // 1024
    print(f"machine: {model}, {os.cpu_count()} CPUs, {memory} MiB, Linux {platform.release()}, "
          f"load {os.getloadavg()[0]:.2f}")


def peak_kib(pid):
    return int(processes.status(pid).get("VmHWM", "0 kB").split()[0])


def memory_run(options, kind, codec):
    """One job: checkpoint, kill, restart. Seconds and bytes by name."""
    bench = Bench(options.build)
    try:
        ticks_path = os.path.join(bench.work, "ticks")
        job = Job(bench, [os.path.join(bench.build, "tests", "bench", "fill"), kind,
                          str(options.megabytes), ticks_path], options=["--compress", codec])
        job.start()
        job.wait_started()
        ticks = Ticks(ticks_path)
        time.sleep(0.3)
        supervisor_before = peak_kib(job.popen.pid)
        ticks.write(1, 0)
        start = time.monotonic()
        job.checkpoint()
        figures = {"checkpoint": time.monotonic() - start, "pause": ticks.word(1) / 1e9,
                   "image": os.path.getsize(job.image),
                   "supervisor MiB": (peak_kib(job.popen.pid) - supervisor_before) / 1024}
        job.kill()
        begin = time.time_ns()
        ticks.write(0, 0)
        job.restart()
        while ticks.word(0) < begin and job.popen.poll() is None:
            time.sleep(0.0005)
        figures["restart"] = (ticks.word(0) - begin) / 1e9
        ticks.write(2, 1)
        status = job.finish()
        if status != 0:
            raise AssertionError(f"status {status}\n{job.report()}")
        return figures
    finally:
        bench.close()


def zstd_reference(options, kind):
    """zstd -1 -T0 of the same bytes, from memory to the same disk."""
    bench = Bench(options.build)
    try:
        source = os.path.join("/dev/shm", f"ckrun-bench-{os.getpid()}")
        ticks = os.path.join(bench.work, "ticks")
        with subprocess.Popen([os.path.join(bench.build, "tests", "bench", "fill"), kind,
                               str(options.megabytes), ticks],
                              stdout=subprocess.PIPE) as popen:
            popen.stdout.readline()
            dump_memory(popen.pid, options.megabytes << 20, source)
            popen.kill()
        times = []
        for _ in range(options.runs):
            target = os.path.join(bench.work, "out.zst")
            start = time.monotonic()
            subprocess.run(f"zstd -q -1 -T0 -f {source} -o {target} && sync {target}", shell=True,
                           check=True)
            times.append(time.monotonic() - start)
        return statistics.median(times)
    finally:
        if os.path.exists(source):
            os.unlink(source)
        bench.close()


def dump_memory(pid, size, path):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        for line in maps:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            if end - begin >= size:
                break
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory, open(path, "wb") as out:
        for at in range(begin, begin + size, 1 << 20):
            memory.seek(at)
            out.write(memory.read(1 << 20))


def memory(options):
    print(f"\n{options.megabytes} MiB of 4 KiB pages, medians of {options.runs} runs")
    print(f"{'memory':8} {'codec':6} {'pause ms':>9} {'checkpoint s':>13} {'image MB':>9} "
          f"{'restart s':>10} {'supervisor +MiB':>16} {'zstd -1 -T0 s':>14}")
    for kind in ("random", "text", "zero"):
        reference = zstd_reference(options, kind)
        for codec in ("none", "zstd"):
            runs = [memory_run(options, kind, codec) for _ in range(options.runs)]
            middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            print(f"{kind:8} {codec:6} {middle['pause'] * 1e3:9.1f} {middle['checkpoint']:13.2f} "
                  f"{middle['image'] / 1e6:9.1f} {middle['restart']:10.2f} "
                  f"{middle['supervisor MiB']:16.1f} {reference:14.2f}", flush=True)


class Caller:
    """The program that times calls, on one CPU; asked for one pass of one call at a time."""

    def __init__(self, bench, arguments):
        self.popen = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, cwd=bench.work,
                                      env=bench.environment, **bench.identity())

    def time(self, name):
        self.popen.stdin.write(name + "\n")
        self.popen.stdin.flush()
        return float(self.popen.stdout.readline())

    def end(self):
        self.popen.stdin.close()
        self.popen.wait()


class Calls:
    """Ways to run the program in turns, pass by pass, so that drift and load hit all alike."""

    def __init__(self, options, as_root=False):
        self.bench = Bench(options.build, as_root)
        self.passes = options.runs * 20
        self.cpu = str(max(os.sched_getaffinity(0)))
        self.program = os.path.join(self.bench.build, "tests", "bench", "syscalls")
        self.callers = {}

    def add(self, way, *prefix):
        self.callers[way] = Caller(self.bench, [*prefix, self.program, self.cpu])

    def add_restarted(self, way, *options):
        """Checkpointed and restarted; false, with the reason printed, where that is refused."""
        name = f"calls-{way}"
        first = Caller(self.bench, [self.bench.tool("ckrun"), "--name", name, "--", self.program,
                                    self.cpu])
        first.time("getpid")
        stopped = self.bench.ckpt("--stop", name)
        first.end()
        if stopped.returncode != 0:
            raise AssertionError(stopped.stderr)
        caller = Caller(self.bench, [self.bench.tool("ckpt"), "restart", *options, name])
        try:
            caller.time("getpid")
        except (ValueError, BrokenPipeError):
            print(f"{way}: {caller.popen.stderr.read().strip()}")
            return
        self.callers[way] = caller

    def compare(self):
        names = list(self.callers)
        print(f"\nnanoseconds a call on CPU {self.cpu}, medians of {self.passes} passes; ratios to "
              f"{names[0]}")
        print(f"{'call':22} {names[0]:>10}", *(f"{name:>11}" for name in names[1:]))
        for call in self.bench.run([self.program]).stdout.splitlines():
            times = [[caller.time(call) for caller in self.callers.values()]
                     for _ in range(self.passes)]
            ratios = [statistics.median(row[i] / row[0] for row in times)
                      for i in range(1, len(names))]
            print(f"{call:22} {statistics.median(row[0] for row in times):10.1f}",
                  *(f"{ratio:11.3f}" for ratio in ratios), flush=True)

    def close(self):
        for caller in self.callers.values():
            caller.end()
        self.bench.close()


def calls(options):
    """A second bare program shows what noise alone makes of a ratio."""
    table = Calls(options)
    try:
        table.add("bare")
        table.add("ckrun", table.bench.tool("ckrun"), "--")
        table.add("bare again")
        table.compare()
    finally:
        table.close()


def modes(options):
    """What calls cost after a restart, by the way in which ids are kept."""
    table = Calls(options, as_root=True)
    try:
        table.add("bare")
        for mode in ("real", "namespace", "virtual"):
            table.add_restarted(mode, "--pids", mode)
        table.compare()
    finally:
        table.close()


def freeze(options):
    """How long a job of so many processes and threads takes to be frozen, and its whole pause."""
    print(f"\nmedians of {options.runs} checkpoints, milliseconds; the aim is 1 + 0.02 a thread")
    print(f"{'processes':>10} {'threads each':>13} {'freeze':>8} {'aim':>8} {'pause':>8}")
    for processes_, threads in ((1, 1), (10, 1), (100, 1), (500, 1), (1, 100), (1, 1000)):
        bench = Bench(options.build)
        try:
            crowd = [os.path.join(bench.build, "tests", "bench", "crowd")]
            job = Job(bench, [*crowd, str(processes_), str(threads)], env={"CKRUN_LOG": "debug"},
                      options=["--compress", "none", "--max-threads",
                               str(processes_ * (threads + 3) + 10)])
            job.start()
            job.wait_started()
            pauses = []
            for _ in range(options.runs + 1):
                facts = json.loads(bench.ckpt("inspect", "--json", job.checkpoint()).stdout)
                pauses.append(facts["pause_ns"] / 1e6)
            job.kill()
            log = "\n".join(job.errors.lines())
            freezes = [int(us) / 1e3 for us in re.findall(r"frozen after (\d+) us", log)]
            print(f"{processes_:10} {threads:13} {statistics.median(freezes[1:]):8.2f} "
                  f"{1 + 0.02 * processes_ * threads:8.2f} {statistics.median(pauses[1:]):8.2f}",
                  flush=True)
        finally:
            bench.close()


def launch(options):
    bench = Bench(options.build)
    ways = {"bare": [], "ckrun": [bench.tool("ckrun"), "--"]}
    times = {way: [] for way in ways}
    try:
        for _ in range(options.runs * 4):
            for way, prefix in ways.items():
                start = time.monotonic()
                bench.run([*prefix, "/bin/true"])
                times[way].append(time.monotonic() - start)
    finally:
        bench.close()
    for way, seconds in times.items():
        print(f"launch and end of /bin/true, {way}: {statistics.median(seconds) * 1e3:.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--part", choices=["calls", "modes", "launch", "freeze", "memory"])
    options = parser.parse_args()
    machine()
    for part in (calls, modes, launch, freeze, memory):
        if options.part in (None, part.__name__):
            part(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
