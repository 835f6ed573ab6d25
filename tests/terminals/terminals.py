#!/usr/bin/python3
"""Interactive programs on a terminal: each is brought to a state, checkpointed, killed with SIGKILL
and restarted on another terminal. Its screen must be what it was, its terminal in the mode that it
had before any key is typed, and it must react to keys; at the end the user's own modes are back.

  terminals.py --build DIR --program NAME [--rounds N] [--pids HOW]
  terminals.py --list
"""
import argparse
import json
import os
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import namespaces, processes  # noqa: E402
from harness.job import OWN_NAMES, STEP_SECONDS, Bench, Skipped  # noqa: E402
from programs import PROGRAMS  # noqa: E402

LFLAG = 3


class Trial:
    def __init__(self, bench, name, pids):
        from harness.screen import Screen
        self.bench, self.pids, self.make_screen = bench, pids, Screen
        self.program = PROGRAMS[name](bench)
        self.screen = self.popen = None
        self.restarted = False

    def start(self):
        command = self.program.start()
        self.screen = self.make_screen(self.bench)
        self.popen = self.screen.run([self.bench.tool("ckrun"), "--name", "job",
                                      *self.program.options, "--", *command],
                                     env=self.program.environment())
        self.wait_taken_over()
        self.program.prepare(self.screen)
        with open(os.path.join(self.bench.state, "job", "incarnation"), encoding="utf-8") as file:
            self.root = json.load(file)["root_pid"]

    def round_trip(self):
        before = self.screen.wait_quiet()
        modes = self.job_modes()
        done = self.bench.ckpt("job")
        if done.returncode != 0:
            raise AssertionError(f"ckpt: exit {done.returncode}: {done.stderr}")
        processes.end_all([self.popen])
        self.screen.close()
        self.screen = self.make_screen(self.bench)
        self.popen = self.screen.run([self.bench.tool("ckpt"), "restart", "--pids", self.pids,
                                      *self.program.restart_options, "job"],
                                     env=self.program.environment())
        self.restarted = True
        self.wait_restarted()
        self.wait_taken_over()
        self.compare(before)
        self.screen.wait_quiet()
        if not self.program.same_modes:
            return
        now = self.job_modes()
        if now != modes:
            raise AssertionError(f"modes of the terminal: before {modes}, after {now}")
        if bool(now[LFLAG] & termios.ICANON) != self.program.cooked:
            raise AssertionError(f"the terminal is not in the mode that is expected: {now}")

    def wait_taken_over(self):
        """Before that the terminal is the user's, and echoes what is typed."""
        self.screen.wait_modes(lambda modes: not modes[LFLAG] & termios.ICANON)

    def wait_restarted(self):
        deadline = time.monotonic() + STEP_SECONDS
        while not self.first_process():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the program does not come back:\n{self.screen.text()}")
            time.sleep(0.01)

    def first_process(self):
        """Its pid here; 0 while there is none."""
        found = self.processes()
        if self.pids == "virtual" and self.restarted:  # nobody else sees its id; it was made first
            return min(found, default=0)
        return next((pid for pid in found if processes.inner_pid(pid) == self.root), 0)

    def processes(self):
        """Of the job. Those that are being restored have names of ckrun's."""
        return [pid for pid in processes.descendants(self.popen.pid)
                if not processes.status(pid).get("Name", "").strip().startswith(OWN_NAMES)]

    def compare(self, before):
        if self.program.screen == "all":
            wanted = "\n".join(before).rstrip("\n")
            self.screen.wait_until(lambda text: text == wanted, "screen as before:\n" + wanted)
        elif self.program.screen == "line":
            line = [line for line in before if line][-1]
            self.screen.wait_until(lambda text: text.strip().endswith(line), f"line {line!r}")

    def job_modes(self):
        """Of the job's own terminal, which is the first process's standard input."""
        pid = self.first_process()
        if not pid:
            raise AssertionError("the program is not there")
        fd = os.open(f"/proc/{pid}/fd/0", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            return termios.tcgetattr(fd)
        finally:
            os.close(fd)

    def finish(self):
        self.program.react(self.screen)
        self.program.end(self.screen)
        try:
            status = self.popen.wait(STEP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.screen.text()}") from None
        if status != self.program.status:
            raise AssertionError(f"exit status {status}\n{self.screen.text()}")
        if not self.screen.is_as_before():
            raise AssertionError(f"the user's terminal was {self.screen.modes_before}, "
                                 f"is {self.screen.modes()}")
        left = processes.leftovers(keep=[self.popen.pid])
        if left:
            raise AssertionError(f"processes left behind: {left}")

    def run(self, rounds):
        self.start()
        for _ in range(rounds):
            self.round_trip()
        self.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build")
    parser.add_argument("--program", choices=list(PROGRAMS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--pids", default="namespace")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(PROGRAMS))
        return 0
    try:
        import pyte  # noqa: F401
    except ImportError:
        print("SKIP: python3-pyte is not installed")
        return 77
    as_root = PROGRAMS[options.program].as_root or options.pids == "real"
    if as_root and os.geteuid() != 0:
        print("SKIP: needs root")
        return 77
    if options.pids == "virtual":
        namespaces.enter_own(False)
    bench = Bench(options.build, as_root=as_root)
    trial = None
    try:
        trial = Trial(bench, options.program, options.pids)
        trial.run(options.rounds or trial.program.rounds)
    except Skipped as reason:
        print(f"SKIP: {reason}")
        return 77
    except AssertionError as failure:
        print(f"FAILED: {options.program}: {failure}")
        if trial and trial.screen:
            print("the screen:\n" + trial.screen.text())
        return 1
    finally:
        if trial:
            trial.program.close()
        bench.close()
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
