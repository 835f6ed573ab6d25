#!/usr/bin/python3
"""Children of a job are killed or stopped at random instants of a checkpoint. The checkpoint
succeeds or says why not, in time; the job goes on."""
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, processes  # noqa: E402

ROUNDS = 25
TIMEOUT_SECONDS = 10


class TreeKills(case.Case):
    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("CKRUN_TEST_SEED", random.randrange(1 << 30)))
        print(f"seed {seed}")
        self.random = random.Random(seed)
        self.job = self.start("workers_respawned")
        start = time.monotonic()
        self.job.checkpoint()
        self.duration = time.monotonic() - start

    def start_ckpt(self):
        return subprocess.Popen([self.bench.tool("ckpt"), "--timeout", f"{TIMEOUT_SECONDS}s",
                                 str(self.job.pid())],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.bench.environment,
                                cwd=self.bench.work, **self.bench.identity())

    def during_checkpoints(self, act, *codes):
        """Acts on a random worker at a random instant of each; how many succeeded."""
        succeeded = 0
        for _ in range(ROUNDS):
            command = self.start_ckpt()
            time.sleep(self.random.uniform(0, self.duration))
            workers = processes.children(self.job.pid())
            undo = act(self.random.choice(workers)) if workers else None
            _, errors = command.communicate(timeout=TIMEOUT_SECONDS + 20)
            if undo:
                undo()
            self.assertNotIn("internal error", errors)
            self.assertIn(command.returncode, codes, errors + self.job.report())
            succeeded += command.returncode == 0
        return succeeded

    def states(self, pids):
        return {processes.status(pid)["State"].strip()[0] for pid in pids}

    def finish(self):
        self.job.image = self.job.checkpoint()
        self.job.kill()
        self.job.restart()
        self.job.wait_restarted()
        self.finish_well(self.job)

    def test_workers_are_killed(self):
        self.during_checkpoints(processes.kill, 0, 75)
        self.finish()

    def test_workers_are_stopped(self):
        def stop(pid):
            processes.kill(pid, signal.SIGSTOP)
            return lambda: processes.kill(pid, signal.SIGCONT)

        self.assertEqual(self.during_checkpoints(stop, 0), ROUNDS)
        self.finish()

    def test_workers_stay_stopped(self):
        def stop(pid):
            processes.kill(pid, signal.SIGSTOP)

        self.assertEqual(self.during_checkpoints(stop, 0), ROUNDS)
        self.job.checkpoint()
        self.job.kill()
        self.job.restart()
        self.job.wait_restarted()
        workers = processes.children(self.job.pid())
        deadline = time.monotonic() + 20  # the restart may still be under way for a moment
        while self.states(workers) != {"T"} and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(self.states(workers), {"T"}, self.job.report())
        for pid in workers:
            processes.kill(pid, signal.SIGCONT)
        self.finish_well(self.job)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
