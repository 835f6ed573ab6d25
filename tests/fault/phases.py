#!/usr/bin/python3
"""Processes exit, exec, fork or stop answering in every phase of a checkpoint. The job goes on, or
the error names the process; ckpt never waits longer than --timeout."""
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, processes  # noqa: E402

ROUNDS = 20
LONGEST_SECONDS = 30  # --timeout's default
# What a time-out may be exceeded by, on a busy machine: the answer's way, the command's own start.
GRACE_SECONDS = 3


class Churn(case.Case):
    """Many checkpoints while the guest's processes are born, change and die all the time."""

    def churn(self, guest):
        job = self.start(guest)
        for _ in range(ROUNDS):
            start = time.monotonic()
            job.checkpoint()
            self.assertLess(time.monotonic() - start, LONGEST_SECONDS + GRACE_SECONDS)
        job.kill()
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_exit_and_fork(self):
        self.churn("children_churn")

    def test_fork_storm(self):
        self.churn("fork_storm")

    def test_exec(self):
        self.churn("exec_churn")

    def test_vfork_and_exec(self):
        self.churn("vfork_in_progress")

    def test_threads(self):
        self.churn("thread_churn")

    def test_shells(self):
        self.churn("spawned_later")


class Freezer:
    """A control group whose processes do not run, and do not even stop for a tracer."""
    FOLDER = "/sys/fs/cgroup/freezer"

    def __init__(self, test):
        self.path = os.path.join(self.FOLDER, f"ckrun-test-{os.getpid()}")
        if not test.bench.am_root or not os.path.exists(self.FOLDER):
            test.skipTest("needs root and the freezer control group (version 1)")
        try:
            os.mkdir(self.path)
        except OSError as error:
            test.skipTest(f"cannot make a control group: {error}")
        test.addCleanup(self.remove)

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(text)

    def hold(self, pid):
        self.write("cgroup.procs", str(pid))
        self.write("freezer.state", "FROZEN")

    def let_go(self):
        self.write("freezer.state", "THAWED")
        with open(os.path.join(self.path, "cgroup.procs"), encoding="ascii") as members:
            for pid in members:
                try:
                    with open(os.path.join(self.FOLDER, "cgroup.procs"), "w",
                              encoding="ascii") as top:
                        top.write(pid)
                except ProcessLookupError:
                    pass  # a copy that has just died

    def remove(self):
        deadline = time.monotonic() + 20
        while True:
            self.let_go()
            try:
                return os.rmdir(self.path)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


class Silent(case.Case):
    TIMEOUT_SECONDS = 1

    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("CKRUN_TEST_SEED", random.randrange(1 << 30)))
        print(f"seed {seed}")
        self.random = random.Random(seed)

    def start_ckpt(self, job):
        return subprocess.Popen([self.bench.tool("ckpt"), "--timeout", f"{self.TIMEOUT_SECONDS}s",
                                 str(job.popen.pid)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.bench.environment,
                                cwd=self.bench.work, **self.bench.identity())

    def end_of(self, command, start, *codes):
        _, errors = command.communicate(timeout=60)
        self.assertLess(time.monotonic() - start, self.TIMEOUT_SECONDS + GRACE_SECONDS, errors)
        self.assertIn(command.returncode, codes, errors)
        return errors

    def checkpoint_in_time(self, job, *codes):
        start = time.monotonic()
        return self.end_of(self.start_ckpt(job), start, *codes)

    def finish(self, job):
        job.checkpoint()
        job.kill()
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_parent_that_waits_for_its_vfork_child(self):
        job = self.start("refused_vfork_held")
        errors = self.checkpoint_in_time(job, 75)
        self.assertIn(str(job.pid()), errors)
        self.finish_well(job)

    def test_frozen_before(self):
        job, freezer = self.start("workers_respawned"), Freezer(self)
        worker = processes.children(job.pid())[2]
        freezer.hold(worker)
        errors = self.checkpoint_in_time(job, 75)
        self.assertIn(str(worker), errors)
        freezer.let_go()
        self.finish(job)

    def test_frozen_during(self):
        job, freezer = self.start("workers_respawned"), Freezer(self)
        start = time.monotonic()
        job.checkpoint()
        duration = time.monotonic() - start
        for _ in range(ROUNDS):
            worker = self.random.choice(processes.children(job.pid()))
            start = time.monotonic()
            command = self.start_ckpt(job)
            time.sleep(self.random.uniform(0, duration))
            freezer.hold(worker)
            errors = self.end_of(command, start, 0, 75)
            if command.returncode != 0:
                self.assertIn(str(worker), errors)
            freezer.let_go()
        self.finish(job)

    def test_supervisor_frozen(self):
        job, freezer = self.start("workers_respawned"), Freezer(self)
        freezer.hold(job.popen.pid)
        errors = self.checkpoint_in_time(job, 75)
        self.assertIn(str(job.popen.pid), errors)
        freezer.let_go()
        self.finish(job)

    def test_supervisor_stopped(self):
        """It is woken."""
        job = self.start("workers_respawned")
        processes.kill(job.popen.pid, signal.SIGSTOP)
        self.checkpoint_in_time(job, 0)
        self.finish(job)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
