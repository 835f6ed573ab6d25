#!/usr/bin/python3
"""Jobs that move by load without being told to, and hosts that are drained."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from loads import Loads  # noqa: E402
from harness import case  # noqa: E402
from harness.job import USER_ID  # noqa: E402

REFUSED, TRY_AGAIN, PERMISSION = 69, 75, 77
MOVES = "info job is to move"


class ByLoad(Loads):
    enabled = True

    def test_a_loaded_host_hands_over_a_job(self):
        self.set_load(self.b, 3)
        self.start_busy(self.a, "trip")
        self.set_load(self.a, 3)
        self.ends_running(self.c, "trip")
        line = self.a.log.wait_for(MOVES)
        for field in ("job=trip", "peer=c", "cause=load", 'reason="load 3.00 here, 0.10 at c"'):
            self.assertIn(field, line)
        self.a.log.wait_for("info job has moved job=trip")
        figures = self.metrics(self.a)
        self.assertIn('ckd_moves_total{cause="load",result="moved"} 1', figures, self.logs())
        self.assertIn('ckd_decisions_total{decision="migrate"} 1', figures, self.logs())
        self.ends_well(self.c, "trip")

    def ends_running(self, host, name):
        self.until(lambda: self.place_of(name) == [host.name], f"{name} runs on {host.name}")

    def test_a_job_of_a_class_without_checkpoints_is_never_moved(self):
        self.start_busy(self.a, "kept", options=("--class", "still"))
        self.start_busy(self.a, "trip")
        self.set_load(self.a, 3)
        self.until(lambda: self.state(self.a, "trip") == "elsewhere", "the other one leaves")
        self.a.log.wait_for("load looked at", count=self.a.log.count("load looked at") + 5)
        self.assertEqual(self.place_of("kept"), ["a"])
        self.assertEqual(self.a.log.count(MOVES + " job=kept"), 0)
        self.fails(self.a.ckpt("drain", "a"), TRY_AGAIN, about=["jobs are left on host a"])
        self.assertEqual(self.place_of("kept"), ["a"])
        self.ends_well(self.a, "kept")


class Following(Loads):
    """The loads follow the jobs."""
    enabled = True
    stay = "1s"

    def follow(self, each):
        """A host has that load for each job on it."""
        self.ended = threading.Event()

        def work():
            while not self.ended.wait(0.1):
                for host in self.every:
                    self.set_load(host, each * self.supervisors(host))

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.ended.set)

    def supervisors(self, host):
        with open(f"/proc/{host.pid}/net/unix", encoding="utf-8") as file:
            lines = (line.split() for line in file)
            return len({words[7] for words in lines if len(words) > 7
                        and words[7].startswith("@ckrun-") and "terminal" not in words[7]})


class Equal(Following):
    def test_nothing_bounces_between_hosts_of_equal_load(self):
        for host in self.every:
            self.start_busy(host, "at-" + host.name)
        self.follow(1.6)
        for host in self.every:
            host.log.wait_for("load looked at load=1.6")
        time.sleep(20)
        self.assertEqual([host.log.count(MOVES) for host in self.every], [0, 0, 0])
        self.release()
        for host in self.every:
            self.ends(host, "at-" + host.name)


class AtOnce(Following):
    # A host gives one of two jobs away, and takes one if it has none.
    usual = f"loadsched = {1.6 / os.cpu_count()}\nloadcheckpoint = {1.8 / os.cpu_count()}"

    def test_two_hosts_that_decide_at_once_do_not_bounce_a_job(self):
        names = [(host, f"{host.name}{number}") for host in (self.a, self.b) for number in (1, 2)]
        for host, name in names:
            self.start_busy(host, name)
        self.follow(1 / os.cpu_count())
        self.until(lambda: self.supervisors(self.c) > 0, "a job goes to the idle host")
        time.sleep(20)
        moved = [host.log.count("info job has moved") for host in self.every]
        self.assertEqual(moved[2], 0, self.logs())
        self.assertIn(sum(moved), (1, 2), self.logs())
        for _, name in names:
            self.assertEqual(len(self.place_of(name)), 1, name)
        self.release()
        for _, name in names:
            self.until(lambda name=name: not self.place_of(name), f"{name} ends")


class Stop(Loads):
    """Nobody else takes the jobs of host a."""
    names = "ab"
    enabled = True

    def setUp(self):
        super().setUp()
        self.set_load(self.b, 1.2)

    def suspended_by(self, host, name):
        rows = json.loads(self.good(host.ckpt("ls", "--json", user=USER_ID)))
        return {row["name"]: row.get("suspended_by") for row in rows}[name]

    def becomes(self, name, by):
        self.until(lambda: self.suspended_by(self.a, name) == by, f"{name} is suspended by {by}")

    def looks(self, count):
        self.a.log.wait_for("load looked at", count=self.a.log.count("load looked at") + count)

    def stopped(self, *names):
        for name in names:
            self.start_busy(self.a, name)
        self.set_load(self.a, 5)
        for name in names:
            self.becomes(name, "load")

    def test_jobs_are_stopped_and_go_on(self):
        self.start_busy(self.a, "kept", options=("--class", "night"))
        self.set_load(self.a, 4.9)
        self.stopped("trip")
        line = self.a.log.wait_for("info job is suspended job=trip")
        self.assertIn('reason="load ', line)
        self.becomes("kept", "load")
        self.assertIn("ckd_jobs_stopped 2", self.metrics(self.a))
        self.assertIn('ckd_decisions_total{decision="stop"} 2', self.metrics(self.a))
        self.assertIn(" suspended by load ", self.good(self.b.ckpt("top", "--once", user=USER_ID)))
        self.set_load(self.a, 1.1)
        self.looks(5)
        self.assertEqual(self.suspended_by(self.a, "trip"), "load")
        self.set_load(self.a, 0.1)
        self.becomes("trip", None)
        self.becomes("kept", None)
        self.a.log.wait_for("info job goes on job=trip")
        self.until(lambda: "ckd_jobs_stopped 0" in self.metrics(self.a), "the metrics say so")
        self.ends_well(self.a, "trip")

    def test_a_job_that_its_user_has_suspended_is_his(self):
        self.stopped("trip", "other")
        self.good(self.a.ckpt("suspend", "trip", user=USER_ID))
        self.becomes("trip", "user")
        self.looks(5)
        self.assertEqual(self.suspended_by(self.a, "trip"), "user")
        self.set_load(self.a, 0.1)
        self.becomes("other", None)
        self.assertEqual(self.suspended_by(self.a, "trip"), "user")
        self.set_load(self.a, 3)
        self.looks(5)
        row = self.rows(self.a, "migrate", "--auto")["trip"]
        self.assertEqual((row["moved"], row["reason"]), (False, "its user has suspended it"))
        self.migrate(self.a, "trip", self.b)
        self.assertEqual((self.place_of("trip"), self.suspended_by(self.b, "trip")), (["b"], "user"))
        self.good(self.b.ckpt("resume", "trip", user=USER_ID))
        self.ends_well(self.b, "trip")

    def test_a_stopped_job_leaves_for_a_host_that_takes_it(self):
        self.stopped("trip")
        self.set_load(self.b, 0.1)
        self.until(lambda: self.place_of("trip") == ["b"], "trip runs on b")
        self.assertIsNone(self.suspended_by(self.b, "trip"))
        self.ends_well(self.b, "trip")

    def test_it_goes_on_when_no_daemon_wants_it_stopped(self):
        self.stopped("trip")
        self.looks(40)  # longer than the job stands still without a word
        self.assertEqual(self.suspended_by(self.a, "trip"), "load")
        self.a.stop()
        self.assertEqual(self.suspended_by(self.a, "trip"), "load")
        self.a.start()
        self.looks(5)
        self.assertEqual(self.suspended_by(self.a, "trip"), "load")
        self.set_load(self.a, 0.1)
        self.becomes("trip", None)
        self.set_load(self.a, 5)
        self.becomes("trip", "load")
        self.a.daemon.kill()
        self.becomes("trip", None)
        self.ends_well(self.a, "trip")


class Drain(Loads):
    def test_a_host_is_emptied_and_stays_empty(self):
        for name in ("one", "two", "three"):
            self.start_busy(self.a, name)
        rows = self.rows(self.a, "drain", "a")
        self.assertEqual(set(rows), {"one", "two", "three"})
        for name, row in rows.items():
            self.assertEqual((row["moved"], row["reason"]), (True, "host a is drained"))
            self.assertEqual(self.place_of(name), [row["host"]])
        self.assertEqual((self.states(self.a)["a"], self.states(self.b)["a"]),
                         ("drained", "drained"))
        there = getattr(self, rows["one"]["host"])
        self.fails(there.ckpt("migrate", "one", "a", user=USER_ID), REFUSED,
                   about=["host a is being drained"])
        self.a.stop()
        self.a.start()
        self.assertEqual(self.states(self.a)["a"], "drained")
        self.assertEqual(self.good(self.a.ckpt("drain", "a")), "no job runs on this host\n")
        self.good(self.a.ckpt("undrain", "a"))
        self.assertEqual(self.states(there)["a"], "up")
        self.migrate(there, "one", self.a)
        self.release()
        for name, row in rows.items():
            self.ends(self.a if name == "one" else getattr(self, row["host"]), name)

    def test_what_nobody_takes_is_named_and_leaves_later(self):
        for host in (self.b, self.c):
            self.set_load(host, 1.2)
        self.start_busy(self.a, "trip")
        done = self.a.ckpt("drain", "a")
        self.fails(done, TRY_AGAIN, about=["jobs are left on host a", "ckpt undrain"])
        self.assertIn("trip stays: no host takes it: host b has a load of 1.20", done.stdout)
        self.assertEqual(self.states(self.b)["a"], "draining")
        self.set_load(self.c, 0.2)
        self.until(lambda: self.place_of("trip") == ["c"], "it leaves without being asked again")
        self.ends_well(self.c, "trip")

    def test_a_host_is_drained_by_its_own_ckd(self):
        self.fails(self.a.ckpt("drain", "b"), REFUSED, about=["run the command on host b"])
        self.assertEqual(self.states(self.a)["b"], "up")


class DrainByRoot(Loads):
    """Root's daemon moves the jobs of all users."""
    names = "ab"
    user = 0

    def test_only_root_may(self):
        self.start_busy(self.a, "trip")
        self.fails(self.a.ckpt("drain", "a", user=USER_ID), PERMISSION, about=["administrator"])
        self.assertEqual(self.good(self.a.ckpt("drain", "a")),
                         "trip runs on b: host a is drained\n")
        self.assertEqual(self.place_of("trip"), ["b"])
        self.ends_well(self.b, "trip")


if __name__ == "__main__":
    sys.exit(case.main(__name__))
