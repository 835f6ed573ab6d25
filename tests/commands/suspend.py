#!/usr/bin/python3
"""Jobs that stand still by ckpt suspend until ckpt resume, and what happens to them meanwhile."""
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, processes  # noqa: E402
from harness.job import STEP_SECONDS, Job  # noqa: E402

NOT_FOUND, TRY_AGAIN = 66, 75

# A child that somebody has stopped, one that works in a group of its own, and their parent. The
# parent would tell if it heard that the working one has stopped.
SHELL = ("set -m; until [ -e \"$GUEST_GO\" ]; do : works; done & works=$!;"
         " sh -c 'kill -STOP $$; while :; do :; done' & stopped=$!;"
         " until [ \"$(ps -o state= $stopped)\" = T ]; do :; done; echo ready;"
         " until [ -e \"$GUEST_GO\" ]; do case $(jobs -s) in *works*) echo heard;; esac; done;"
         " wait $works && kill -KILL $stopped && echo ok")


class Suspend(case.Case):
    def state_of(self, pid):
        return processes.status(pid).get("State", "\t-").strip()[0]

    def job_processes(self, job):
        """But for the helpers of a restart in namespaces."""
        return [pid for pid in processes.descendants(job.popen.pid) if processes.alive(pid)
                and not processes.status(pid).get("Name", "").strip().startswith("ckrun-")]

    def states(self, job):
        return {self.state_of(pid) for pid in self.job_processes(job)}

    def until(self, condition, what, job):
        deadline = time.monotonic() + STEP_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"not in time: {what}\n{job.report()}")
            time.sleep(0.01)

    def good(self, *arguments):
        done = self.bench.ckpt(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def suspend(self, job):
        self.good("suspend", job.name)
        self.assert_stands(job)

    def assert_stands(self, job):
        self.assertEqual(self.states(job), {"T"}, job.report())

    def row(self, job):
        rows = json.loads(self.good("ls", "--json"))
        return {row["name"]: row for row in rows}[job.name]

    def test_stands_still_and_goes_on(self):
        job = self.start("threads_condvar")
        self.suspend(job)
        self.assertIn(" suspended ", self.good("ls"))
        self.assertEqual((self.row(job)["state"], self.row(job)["suspended_by"]),
                         ("running", "user"))
        self.suspend(job)
        self.good("resume", job.pid())
        self.assertNotIn("suspended_by", self.row(job))
        done = self.bench.ckpt("resume", job.name)
        self.assert_fails(done, NOT_FOUND, about=["is not suspended"], beside=job)
        self.finish_well(job)

    def shell(self):
        job = Job(self.bench, ["bash", "-c", SHELL], env={"GUEST_GO": self.go})
        job.start()
        job.wait_started()
        return job

    def test_what_was_stopped_stays_stopped(self):
        job = self.shell()
        stopped = [pid for pid in self.job_processes(job) if self.state_of(pid) == "T"]
        self.assertEqual(len(stopped), 1, job.report())
        for _ in range(3):
            self.suspend(job)
            self.good("resume", job.name)
            self.assertEqual(self.state_of(stopped[0]), "T")
        self.suspend(job)
        job.checkpoint()
        job.kill()
        job.restart()
        self.release()
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual(job.all_lines(), ["ready", "ok"], job.report())

    def test_nothing_escapes(self):
        for guest in ("children_churn", "fork_storm"):
            self.hold()
            job = self.start(guest, name=guest)
            self.suspend(job)
            before = self.job_processes(job)
            time.sleep(0.2)
            self.assertEqual(self.job_processes(job), before)
            self.assert_stands(job)
            self.good("resume", job.name)
            self.finish_well(job)

    def test_checkpoint_meanwhile(self):
        job = self.start("pipes_between")
        self.suspend(job)
        image = job.checkpoint()
        self.assert_stands(job)
        self.assertEqual(self.row(job)["suspended_by"], "user")
        job.kill()
        job.restart(image=image)
        job.wait_restarted()
        self.assertNotIn("suspended_by", self.row(job))
        self.finish_well(job)

    def test_failed_checkpoint_meanwhile(self):
        job = self.start("refused_thread_no_new_privs")
        self.suspend(job)
        self.assert_fails(self.bench.ckpt(job.name), 69, beside=job)
        self.assert_stands(job)
        job.kill()

    def test_end_meanwhile(self):
        job = self.start("children_churn")
        self.suspend(job)
        self.good("--stop", job.name)
        self.assertEqual(job.finish(), 85, job.report())
        job.restart("--keep-suspended", image=job.name)
        job.wait_restarted()
        self.until(lambda: self.states(job) == {"T"}, "it stands still", job)
        self.assertEqual(self.row(job)["suspended_by"], "user")
        self.good("--stop", job.name)
        self.assertEqual(job.finish(), 85, job.report())
        job.restart(image=job.name)
        job.wait_restarted()
        self.finish_well(job)

    def test_signal_that_ends_it(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            job = self.start(name=f"by-{int(number)}")
            self.suspend(job)
            job.popen.send_signal(number)
            self.assertEqual(job.finish(), 128 + number, job.report())

    def test_killed_while_it_stands_still(self):
        job = self.start()
        self.suspend(job)
        os.kill(job.pid(), signal.SIGKILL)
        self.assertEqual(job.finish(), 128 + signal.SIGKILL, job.report())
        self.assertFalse(os.path.exists(os.path.join(self.bench.state, "job", "suspended")))

    def test_sigcont_to_ckrun(self):
        job = self.start()
        self.suspend(job)
        job.popen.send_signal(signal.SIGCONT)
        self.until(lambda: "suspended_by" not in self.row(job), "it goes on", job)
        self.finish_well(job)

    def test_supervisor_is_killed(self):
        job = self.start("workers_memory")
        pid = job.pid()
        self.suspend(job)
        members = self.job_processes(job)
        job.popen.kill()
        job.popen.wait()
        self.assertEqual({self.state_of(pid) for pid in members}, {"T"})
        self.assertIn(" suspended ", self.good("ls"))
        self.good("resume", job.name)
        self.until(lambda: "T" not in {self.state_of(pid) for pid in members}, "it goes on", job)
        self.release()
        self.until(lambda: not processes.alive(pid), "it ends", job)
        self.assertEqual(job.output.lines()[-1:], ["ok"], job.report())

    def test_held_meanwhile(self):
        job = self.start()
        self.suspend(job)
        self.good("--hold", job.name)
        done = self.bench.ckpt("suspend", job.name)
        self.assert_fails(done, TRY_AGAIN, about=["is held"], beside=job)
        self.good("unhold", job.name)
        self.until(lambda: self.states(job) == {"T"}, "it stands still again", job)
        self.good("resume", job.name)
        self.finish_well(job)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
