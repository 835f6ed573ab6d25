#!/usr/bin/python3
"""SIGKILL for the supervisor, the program or ckpt, at random instants of a checkpoint and of a
restart. Earlier images stay valid, the job is not harmed, nothing is left behind."""
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, processes  # noqa: E402

ROUNDS = 15
# What ckpt may say when its job or its supervisor is killed under it.
CKPT_CODES = (0, 65, 66, 71, 75)


class Kills(case.Case):
    guest_name = "threads_condvar"

    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("CKRUN_TEST_SEED", random.randrange(1 << 30)))
        print(f"seed {seed}")
        self.random = random.Random(seed)

    def start_ckpt(self, *arguments):
        return subprocess.Popen([self.bench.tool("ckpt"), *map(str, arguments)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.bench.environment,
                                cwd=self.bench.work, **self.bench.identity())

    def measured(self, job):
        """Seconds that a checkpoint of this job takes."""
        start = time.monotonic()
        job.checkpoint()
        return time.monotonic() - start

    def some_time(self, duration):
        time.sleep(self.random.uniform(0, duration * 1.1))

    def end_of(self, command):
        out, errors = command.communicate(timeout=60)
        self.assertNotIn("internal error", errors)
        return command.returncode, out, errors

    def images(self, job):
        folder = os.path.dirname(job.image)
        return sorted(os.path.join(folder, name) for name in os.listdir(folder)
                      if name.startswith("gen-") and name.endswith(".ckpt"))

    def verify_all(self, job):
        self.assertTrue(self.images(job))
        for image in self.images(job):
            done = self.bench.ckpt("verify", image)
            self.assertEqual(done.returncode, 0, f"{image}: {done.stderr}")

    def test_ckpt_is_killed(self):
        job = self.start(self.guest_name)
        duration = self.measured(job)
        for _ in range(ROUNDS):
            command = self.start_ckpt(job.pid())
            self.some_time(duration)
            command.kill()
            command.communicate()
        deadline = time.monotonic() + 30
        while True:  # the last request may still be under way
            done = self.bench.ckpt(job.pid())
            if done.returncode != 75 or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.verify_all(job)
        self.finish_well(job)

    def test_program_is_killed_during_a_checkpoint(self):
        job = self.start(self.guest_name, name="round-0")
        duration = self.measured(job)
        for number in range(1, ROUNDS + 1):
            command = self.start_ckpt(job.pid())
            self.some_time(duration)
            processes.kill(job.pid())
            code, _, errors = self.end_of(command)
            self.assertIn(code, CKPT_CODES, errors)
            self.assertEqual(job.finish(), 128 + signal.SIGKILL, job.report())
            self.verify_all(job)
            self.assertEqual(processes.leftovers(keep=[job.popen.pid]), [])
            job = self.start(self.guest_name, name=f"round-{number}")
            job.checkpoint()
        self.finish_well(job)

    def test_supervisor_is_killed_during_a_checkpoint(self):
        job = self.start(self.guest_name, name="round-0")
        duration = self.measured(job)
        for number in range(1, ROUNDS + 1):
            program = job.pid()
            command = self.start_ckpt(program)
            self.some_time(duration)
            job.popen.kill()
            job.popen.wait(20)
            code, _, errors = self.end_of(command)
            self.assertIn(code, CKPT_CODES, errors)
            self.assertTrue(processes.alive(program), "the program died with its supervisor")
            self.verify_all(job)
            self.release()
            self.assertTrue(job.output.wait_for("ok", 30),
                            f"the program does not go on: {job.output.text}\n{job.report()}")
            self.assertEqual(processes.leftovers(), [])
            self.hold()
            job = self.start(self.guest_name, name=f"round-{number}")
            job.checkpoint()
        self.finish_well(job)

    def test_job_is_adopted_after_its_supervisors_death(self):
        job = self.start(self.guest_name)
        program = job.pid()
        job.checkpoint()
        job.popen.kill()
        job.popen.wait(20)
        for _ in range(2):
            done = self.bench.ckpt(program)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.bench.ckpt("verify", done.stdout.strip()).returncode, 0)
        job.image = done.stdout.strip()
        job.kill()
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_restart_is_killed(self):
        job = self.start(self.guest_name)
        job.checkpoint()
        job.kill()
        start = time.monotonic()
        job.restart()
        job.wait_restarted()
        duration = time.monotonic() - start
        job.kill()
        for _ in range(ROUNDS):
            job.restart()
            self.some_time(duration * 1.2)
            job.popen.kill()
            job.popen.wait(20)
            self.expect_all_or_nothing(job)
            processes.end_all()
            self.verify_all(job)
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def expect_all_or_nothing(self, job):
        """After the supervisor's death: no process at all, or the whole program running."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            processes.reap_zombies()
            found = [pid for pid in processes.descendants(os.getpid()) if processes.alive(pid)]
            program = [pid for pid in found if processes.inner_pid(pid) == job.virtual_pid]
            if not found:
                return
            if program and self.makes_progress(program[0]):
                return
            time.sleep(0.02)
        self.fail(f"neither ended nor running: {[processes.status(pid) for pid in found]}")

    def makes_progress(self, pid):
        """The guest's threads pass a token round: its context switches go up all the time."""
        def switches():
            return int(processes.status(pid).get("voluntary_ctxt_switches", "0"))
        before = switches()
        time.sleep(0.1)
        return processes.alive(pid) and switches() > before

    def test_program_is_killed_during_a_restart(self):
        job = self.start(self.guest_name)
        job.checkpoint()
        job.kill()
        for _ in range(ROUNDS):
            job.restart()
            deadline = time.monotonic() + 20
            victims = []
            while not victims and time.monotonic() < deadline and job.popen.poll() is None:
                victims = processes.descendants(job.popen.pid)
            time.sleep(self.random.uniform(0, 0.05))
            for pid in processes.descendants(job.popen.pid)[-1:]:
                processes.kill(pid)
            status = job.finish(30)
            self.assertNotIn(status, (0, 128 + signal.SIGSEGV, 128 + signal.SIGABRT), job.report())
            self.assertEqual(processes.leftovers(keep=[job.popen.pid]), [], job.report())
            finished = os.path.join(os.path.dirname(job.image), "finished")
            if os.path.exists(finished):
                os.unlink(finished)  # the program itself was hit: its end is recorded
            self.verify_all(job)
        job.restart()
        job.wait_restarted()
        self.finish_well(job)


class LargeKills(Kills):
    """The same with memory that takes a while to write."""
    guest_name = "heap_brk"

    def makes_progress(self, pid):
        return processes.alive(pid) and super().makes_progress(pid)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
