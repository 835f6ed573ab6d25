#!/usr/bin/python3
"""Figures of a migration between two hosts (network namespaces on this machine): how long the job
stands still, and how long the whole takes; beside it the same by hand: ckpt --stop, cp, restart.
Medians, with the machine's facts. Nothing here passes or fails. As root.

  move.py [--build build/release] [--megabytes 1024] [--dirty 50] [--runs 5] [--kind text]
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "driver"), HERE]
from bench import Ticks, machine  # noqa: E402
from harness import case  # noqa: E402
from harness.job import USER_ID  # noqa: E402
from moving import Moving  # noqa: E402


class Move(Moving):
    options = None
    name = "big"

    def runTest(self):
        ticks_path = os.path.join(self.shared, "ticks")
        program = os.path.join(self.bench.build, "tests", "bench", "fill")
        self.start(self.a, "big", program, self.options.kind, str(self.options.megabytes),
                   ticks_path, str(self.options.dirty))
        self.until(lambda: "ready" in self.text("big"), "the job is ready")
        ticks = Ticks(ticks_path)
        figures = {"by ckd": [], "by hand": []}
        for run in range(self.options.runs):
            source, target = (self.a, self.b) if run % 2 == 0 else (self.b, self.a)
            figures["by ckd"].append(
                self.timed(ticks, lambda: self.migrate(source, "big", target)))
        host = self.a if self.options.runs % 2 == 0 else self.b
        for _ in range(self.options.runs):
            figures["by hand"].append(self.timed(ticks, lambda: self.by_hand(host, ticks)))
        ticks.write(2, 1)
        for name, rows in figures.items():
            print(f"{name:8}  stands still {statistics.median(r[0] for r in rows):.3f} s  "
                  f"in all {statistics.median(r[1] for r in rows):.3f} s   "
                  f"({' '.join(f'{r[0]:.3f}' for r in rows)})", flush=True)

    def timed(self, ticks, move):
        time.sleep(1)
        ticks.write(1, 0)
        begin = time.monotonic()
        move()
        took = time.monotonic() - begin
        time.sleep(0.2)
        return ticks.word(1) / 1e9, took

    def by_hand(self, host, ticks):
        image = self.good(host.ckpt("save", "--stop", self.name, user=USER_ID)).split()[-1]
        copy = os.path.join(self.shared, "copy.ckpt")
        shutil.copy(image, copy)
        os.chown(copy, USER_ID, USER_ID)
        last = ticks.word(0)
        name = f"hand{time.monotonic_ns()}"
        with open(self.errors(name), "wb") as errors:
            process = subprocess.Popen(
                host.command([self.bench.tool("ckpt"), "restart", "--as", name, copy], USER_ID),
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                env=host.environment(USER_ID))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.until(lambda: ticks.word(0) != last, "it goes on")
        self.name = name
        os.unlink(copy)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--dirty", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kind", default="text")
    Move.options = parser.parse_args()
    case.BUILD = os.path.abspath(Move.options.build)
    machine()
    Move().debug()


main()
