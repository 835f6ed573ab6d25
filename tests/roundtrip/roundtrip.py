#!/usr/bin/python3
"""Takes one guest program (tests/guests) through checkpoints and restarts, and looks at it from
outside too: /proc before and after must agree, the output and the exit status must be right.

  roundtrip.py --build DIR --guest NAME --scenario
               resume|restart|twice|ten|changes|real|virtual|ways|crowded

resume   three checkpoints while it runs on
restart  checkpoint, SIGKILL for the whole job, restart (--pids namespace), as an ordinary user
twice    the same again, from the second life
ten      ten generations
changes  twice, from images of what has changed since others were taken
real     as root, with --pids real
virtual  twice, with --pids virtual
ways     --pids virtual, then namespace, then virtual again
crowded  --pids virtual where there are so few numbers that new processes get old ones all the time
"""
import argparse
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import namespaces, processes, snapshot  # noqa: E402
from harness.job import Bench, Job, Skipped  # noqa: E402

ROUNDS = {"restart": 1, "twice": 2, "ten": 10, "changes": 2, "real": 2, "virtual": 2, "ways": 3,
          "crowded": 2}
WAYS = {"real": ["real"], "virtual": ["virtual"], "ways": ["virtual", "namespace"],
        "crowded": ["virtual"]}
CROWDED_PIDS = (310, 500)  # the first one, and how many there may be: the kernel starts again at 300
SETTLE_SECONDS = 15
GUESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guests")


def directives(guest):
    """The words of the guest's "// roundtrip:" line."""
    words = {"delay": "0.2", "state": "yes", "maps": "yes", "run": "plain", "check": "yes"}
    for extension in (".c", ".cc"):
        path = os.path.join(GUESTS, guest + extension)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if line.startswith("// roundtrip:"):
                        for word in line.split(":", 1)[1].split():
                            key, _, value = word.partition("=")
                            words[key] = value
    return words


def command_line(kind, program, go):
    if kind == "exec-chain":
        return ["sh", "-c", f"exec '{program}'"]
    if kind == "clear-environment":
        return ["env", "-i", f"GUEST_GO={go}", program]
    return [program]


class RoundTrip:
    def __init__(self, bench, guest, scenario):
        self.bench, self.guest, self.scenario = bench, guest, scenario
        self.words = directives(guest)
        self.delay = float(self.words["delay"])
        self.go = os.path.join(bench.folder, "go")
        program = os.path.join(bench.build, "tests", "guests", guest)
        self.ways = WAYS.get(scenario, ["namespace"])
        self.virtual_ids = "virtual" in self.ways
        stdin = subprocess.PIPE if self.words["run"] == "stdin" else subprocess.DEVNULL
        environment = {"GUEST_GO": self.go}
        if self.virtual_ids:
            environment["GUEST_CLOCK_GOES_ON"] = "1"
        self.job = Job(bench, command_line(self.words["run"], program, self.go), name=guest,
                       env=environment, stdin=stdin,
                       restart_options=["--pids", self.ways[0]])

    def snapshot(self):
        if self.words["state"] != "yes":
            return None
        return snapshot.take(self.job.pid(), with_maps=self.words["maps"] == "yes",
                             virtual_ids=self.virtual_ids)

    def still_snapshot(self):
        """Not of an instant in which a signal is just on its way: two in a row are equal. Nor while
        a thread is being started, which on a busy machine takes longer than that."""
        deadline = time.monotonic() + SETTLE_SECONDS
        started_by = time.monotonic() + 2  # else it is the program that blocks all
        now = self.snapshot()
        while now is not None:
            last, now = now, self.snapshot()
            lines = snapshot.differences(last, now)
            starts = time.monotonic() < started_by and snapshot.starts_thread(now)
            if not lines and not starts:
                break
            if lines and time.monotonic() > deadline:
                raise AssertionError("does not stand still:\n  " + "\n  ".join(lines[:40]))
        return now

    def expect_same(self, before, when):
        """The state must become what it was; a restart may still be under way for a moment."""
        if before is None:
            return
        deadline = time.monotonic() + SETTLE_SECONDS
        lines = ["no state at all"]
        while time.monotonic() < deadline and self.job.popen.poll() is None:
            try:
                lines = snapshot.differences(before, self.snapshot())
            except (OSError, KeyError) as error:
                lines = [f"cannot read the state: {error}"]
            if not lines:
                return
            time.sleep(0.02)
        if self.job.popen.poll() is not None and "blocked" not in self.guest:
            raise AssertionError(f"{when}: the job ended\n{self.job.report()}")
        raise AssertionError(f"{when}: state differs:\n  " + "\n  ".join(lines[:40])
                             + "\n" + self.job.report())

    def resume(self):
        """The first checkpoint succeeds, so `ckpt check` must have nothing against it."""
        begin = time.monotonic()
        check = self.bench.ckpt("check", self.job.pid())
        for number in range(3):
            time.sleep(max(0, begin + (number + 1) * self.delay / 3 - time.monotonic()))
            before = self.still_snapshot()
            self.job.checkpoint()
            if check.returncode != 0 and self.words["check"] == "yes":
                raise AssertionError(f"ckpt check: {check.returncode}: {check.stdout}{check.stderr}")
            self.expect_same(before, f"after checkpoint {number + 1}")

    def checkpoint(self):
        if self.scenario == "changes":
            below = self.job.checkpoint("save", "--track")
            time.sleep(0.02)
            below = self.job.checkpoint("save", "--track", "--on-top-of", below)
            time.sleep(0.02)
            self.job.checkpoint("save", "--on-top-of", below)
        else:
            self.job.checkpoint()

    def restarts(self, rounds):
        for number in range(rounds):
            time.sleep(self.delay / rounds)
            if self.has_ended():
                return
            before = self.still_snapshot()
            self.checkpoint()
            time.sleep(0.03)  # it runs on, past what the image knows
            self.job.kill()
            if self.has_ended():
                return
            self.job.restart_options = ["--pids", self.ways[number % len(self.ways)]]
            self.job.restart()
            self.job.wait_restarted()
            self.expect_same(before, f"after restart {number + 1}")

    def has_ended(self):
        """With virtual ids the clock goes on while the job is down: a guest that waits until some
        time can be through. At least one restart has to come before."""
        return self.virtual_ids and self.job.has_finished() and len(self.job.outputs) > 1

    def talk(self):
        """For the guest that copies stdin to stdout."""
        for word in ("hello", "again"):
            self.job.popen.stdin.write(f"{word}\n".encode())
            self.job.popen.stdin.flush()
            if not self.job.output.wait_for(f"got {word}"):
                raise AssertionError(f"no answer to {word!r}\n{self.job.report()}")
        self.job.popen.stdin.close()

    def check_end(self):
        if self.words["run"] == "stdin":
            self.talk()
            expected = ["ready", "got hello", "got again", "ok"]
        else:
            expected = ["ready", "ok"]
        status = self.job.finish()
        lines = self.job.all_lines()
        if lines != expected or status != 0:
            raise AssertionError(f"status {status}, stdout {lines}, expected {expected}\n"
                                 + self.job.report())
        left = processes.leftovers(keep=[self.job.popen.pid])
        if left:
            raise AssertionError(f"processes left behind: {left}")

    def run(self):
        self.job.start()
        self.job.wait_started()
        if self.scenario == "resume":
            self.resume()
        else:
            self.restarts(ROUNDS[self.scenario])
        with open(self.go, "w", encoding="ascii"):
            pass
        self.check_end()


def crowd():
    """In the pid namespace that we are in. Before Linux 6.14 the limit was the whole machine's."""
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if release < (6, 14):
        return False
    for name, value in zip(("ns_last_pid", "pid_max"), CROWDED_PIDS):
        with open(f"/proc/sys/kernel/{name}", "w", encoding="ascii") as file:
            file.write(str(value))
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--guest", required=True)
    parser.add_argument("--scenario", required=True, choices=["resume", *ROUNDS])
    options = parser.parse_args()
    if options.scenario in ("real", "crowded") and os.geteuid() != 0:
        print("SKIP: --pids real and a pid namespace need root here")
        return 77
    namespaces.enter_own(options.scenario in ("real", "crowded"))
    if options.scenario == "crowded" and not crowd():
        print("SKIP: this kernel has one limit of pids for all namespaces")
        return 77
    bench = Bench(options.build, as_root=options.scenario == "real")
    try:
        RoundTrip(bench, options.guest, options.scenario).run()
    except Skipped as reason:
        print(f"SKIP: {reason}")
        return 77
    except AssertionError as failure:
        print(f"FAILED: {options.guest} {options.scenario}: {failure}")
        return 1
    finally:
        bench.close()
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
