"""A unittest case with a bench of its own, and the command line of the test programs:

  NAME.py --build DIR [CLASS.METHOD]   runs all, or the one test
  NAME.py --list                       prints the tests' names, for ctest
"""
import os
import sys
import unittest

from . import processes
from .job import Bench, Job, Skipped

BUILD = ""


class Case(unittest.TestCase):
    longMessage = True

    def setUp(self):
        self.bench = Bench(BUILD)
        self.addCleanup(self.bench.close)
        self.go = os.path.join(self.bench.folder, "go")

    def guest(self, name):
        return os.path.join(self.bench.build, "tests", "guests", name)

    def start(self, guest="counter", name="job", ready=True, **more):
        """A guest under ckrun that waits to be released."""
        job = Job(self.bench, [self.guest(guest)], name=name, env={"GUEST_GO": self.go}, **more)
        job.start()
        if ready:
            try:
                job.wait_started()
            except Skipped as reason:
                self.skipTest(str(reason))
        return job

    def release(self):
        with open(self.go, "w", encoding="ascii"):
            pass

    def hold(self):
        """Undoes release(), for a restart from an earlier image."""
        if os.path.exists(self.go):
            os.unlink(self.go)

    def finish_well(self, job):
        """The guest is released, checks itself and ends with 0; nothing is left behind."""
        self.release()
        status = job.finish()
        self.assertEqual(status, 0, job.report())
        self.assertEqual(job.output.lines()[-1:], ["ok"], job.report())
        self.assertEqual(processes.leftovers(keep=[job.popen.pid]), [])

    def assert_fails(self, done, *codes, about=(), beside=None):
        """One clear line and a documented exit code; nothing is left but the job `beside` it."""
        text = f"exit {done.returncode}\nstdout: {done.stdout}\nstderr: {done.stderr}"
        self.assertIn(done.returncode, codes, text)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, "not one line: " + text)
        for word in about:
            self.assertIn(word, done.stderr)
        keep = [beside.popen.pid, *processes.descendants(beside.popen.pid)] if beside else []
        self.assertEqual(processes.leftovers(keep), [], "processes left behind: " + text)

    def restarted(self, image, *options, name="job"):
        """A job object for an image of a guest that `self.go` releases, restarted."""
        job = Job(self.bench, [], name=name, env={"GUEST_GO": self.go})
        job.virtual_pid = self.virtual_pid
        job.restart(*options, image=image)
        job.wait_restarted()
        return job


def main(module):
    """For the main program of a test file."""
    global BUILD
    loader = unittest.defaultTestLoader
    arguments = sys.argv[1:]
    if arguments == ["--list"]:
        for group in loader.loadTestsFromModule(sys.modules[module]):
            for test in group:
                print(test.id().split(".", 1)[1])
        return 0
    if arguments[:1] != ["--build"]:
        sys.exit("usage: --build DIR [CLASS.METHOD…] | --list")
    BUILD = os.path.abspath(arguments[1])
    if arguments[2:]:
        suite = loader.loadTestsFromNames(arguments[2:], sys.modules[module])
    else:
        suite = loader.loadTestsFromModule(sys.modules[module])
    outcome = unittest.TextTestRunner(verbosity=2).run(suite)
    if outcome.wasSuccessful() and outcome.skipped and len(outcome.skipped) == outcome.testsRun:
        print("SKIP: " + outcome.skipped[0][1])
        return 77
    return 0 if outcome.wasSuccessful() else 1
