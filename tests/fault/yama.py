#!/usr/bin/python3
"""Yama's ptrace_scope: 0 and 1 change nothing; under 2 and 3 a checkpoint is refused to an ordinary
user, who is told why, and the job goes on.

The scope is the whole machine's: a test that needs another than the present one is skipped, unless
root asks for it with CKRUN_TEST_SET_YAMA=1 (3 can never be set back, and is only tested where it is
in force)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402

SCOPE = "/proc/sys/kernel/yama/ptrace_scope"
REFUSED, PERMISSION = 69, 77


class Yama(case.Case):
    def need(self, scope):
        if not os.path.exists(SCOPE):
            self.skipTest(f"ptrace_scope {scope} cannot be tested: this kernel has no Yama")
        present = self.scope()
        if present == scope:
            return
        if scope == 3 or os.geteuid() != 0 or not os.environ.get("CKRUN_TEST_SET_YAMA"):
            self.skipTest(f"ptrace_scope is {present} here, not {scope}")
        self.addCleanup(self.set_scope, present)
        try:
            self.set_scope(scope)
        except OSError as error:
            self.skipTest(f"ptrace_scope cannot be set to {scope}: {error.strerror}")

    def scope(self):
        with open(SCOPE, encoding="ascii") as file:
            return int(file.read())

    def set_scope(self, scope):
        with open(SCOPE, "w", encoding="ascii") as file:
            file.write(str(scope))

    def everything_works(self):
        job = self.start("threads_condvar")
        for _ in range(2):
            job.checkpoint()
            job.kill()
            job.restart()
            job.wait_restarted()
        self.finish_well(job)

    def is_refused(self):
        if os.geteuid() == 0 and not self.bench.am_root:
            self.skipTest("root may trace everything")
        job = self.start("threads_condvar")
        done = self.bench.ckpt(job.pid())
        self.assertIn(done.returncode, (REFUSED, PERMISSION), done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn("Yama", done.stderr)
        self.finish_well(job)

    def test_scope_0_is_fine(self):
        self.need(0)
        self.everything_works()

    def test_scope_1_is_fine(self):
        self.need(1)
        self.everything_works()

    def test_scope_2_is_refused(self):
        self.need(2)
        self.is_refused()

    def test_scope_3_is_refused(self):
        self.need(3)
        self.is_refused()


if __name__ == "__main__":
    sys.exit(case.main(__name__))
