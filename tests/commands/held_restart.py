#!/usr/bin/python3
"""A job that is restored and stands still until it is told how it goes on, and a job that moves:
what a hand-over between hosts asks of ckpt."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, processes  # noqa: E402
from harness.job import STEP_SECONDS, Bench, Job  # noqa: E402

# Three processes without commands that come and go; `out` grows meanwhile.
PIPELINE = ("echo ready; for i in {1..200}; do echo $i; read -t 0.01 < pipe; done |"
            " awk '{ sum += $1; print sum; fflush() }' | tee -a out | cksum")

# Not a command: one that is stopped while it is being started cannot be checkpointed.
STOPPED_CHILD = "while :; do :; done & kill -STOP $!; echo ready; wait"

LARGE = """
import os, signal
memory = bytearray(40 << 20)
memory[::4096] = bytes(10 << 10)
if os.fork():
    print("ready", flush=True)
signal.pause()
"""


class Held(case.Case):
    def image_of(self, guest="counter", **more):
        """A job that was killed after its checkpoint."""
        job = self.start(guest, **more)
        job.checkpoint()
        job.kill()
        return job

    def restart_held(self, job, *options):
        """Until it is held. The end of file says, too, that the job has not got the descriptor."""
        reader, writer = os.pipe()
        job.restart("--hold", "--ready-fd", str(writer), *options, image=job.name,
                    pass_fds=[writer])
        os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            self.assertEqual(ready.read(), b"r", job.report())

    def unhold(self, target, *options):
        done = self.bench.ckpt("unhold", *options, getattr(target, "name", target))
        self.assertEqual(done.returncode, 0, done.stderr)

    def refused(self, code, *arguments, about=(), beside=None):
        self.assert_fails(self.bench.ckpt(*arguments), code, about=about, beside=beside)

    def path(self, name, job="job"):
        return os.path.join(self.bench.state, job, name)

    def incarnation(self, job="job"):
        with open(self.path("incarnation", job), encoding="utf-8") as file:
            return json.load(file)

    def elsewhere(self, counter):
        """The job's last life is another host's, as far as this one knows."""
        last = self.incarnation()
        path = self.path("incarnation")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**last, "counter": counter, "host": "far-away", "machine_id": "m",
                       "boot_id": "b"}, file)
        self.bench.give(path)

    def wait_gone(self, pids):
        deadline = time.monotonic() + 10
        while any(map(processes.alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.02)
        processes.reap_zombies()
        self.assertEqual([pid for pid in pids if processes.alive(pid)], [])


class Restart(Held):
    def test_goes_on(self):
        job = self.image_of()
        self.restart_held(job)
        ticks = self.ticks(job.popen.pid)
        self.refused(75, job.name, about=["is held"], beside=job)
        time.sleep(0.3)
        self.assertLess(self.ticks(job.popen.pid) - ticks, 5)
        self.assertEqual(self.incarnation()["counter"], 1)
        self.unhold(job)
        self.assertEqual(self.incarnation()["counter"], 2)
        self.assertFalse(os.path.exists(self.path("held")))
        self.refused(66, "unhold", job.name, about=["not held"], beside=job)
        job.checkpoint()
        self.finish_well(job)

    @staticmethod
    def ticks(supervisor):
        """What all below it have run."""
        total = 0
        for pid in processes.descendants(supervisor):
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                words = file.read().rpartition(")")[2].split()
            total += int(words[11]) + int(words[12])
        return total

    def test_is_ended(self):
        job = self.image_of("threads_condvar")
        self.restart_held(job)
        self.unhold(job, "--end")
        self.assertEqual(job.finish(), 85, job.report())
        self.assertEqual(processes.leftovers(), [])
        self.assertFalse(os.path.exists(self.path("held")))
        self.assertEqual(self.incarnation()["counter"], 1)
        self.restart_held(job, "--stop-exit", "7")
        self.unhold(job, "--end")
        self.assertEqual(job.finish(), 7, job.report())
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_is_ended_by_a_signal(self):
        job = self.image_of()
        self.restart_held(job)
        job.popen.terminate()
        self.assertEqual(job.finish(), -signal.SIGTERM, job.report())
        self.assertEqual(processes.leftovers(), [])
        self.restart_held(job)
        self.unhold(job)
        self.finish_well(job)

    def test_is_found_by_pid(self):
        job = self.image_of()
        for target in ("supervisor", "program"):
            self.restart_held(job)
            self.unhold(job.popen.pid if target == "supervisor" else job.pid(), "--end")
            self.assertEqual(job.finish(), 85, job.report())

    def test_second_one_is_refused(self):
        job = self.image_of()
        self.restart_held(job)
        self.refused(75, "restart", "--hold", job.name, about=["held already", str(job.popen.pid)],
                     beside=job)
        self.refused(75, "rm", job.name, about=["held already"], beside=job)
        self.unhold(job)
        self.refused(75, "rm", job.name, about=["is running"], beside=job)
        self.finish_well(job)

    def test_killed_one_is_not_found(self):
        job = self.image_of()
        self.restart_held(job)
        job.kill()
        self.assertTrue(os.path.exists(self.path("held")))
        self.refused(66, "unhold", job.name, about=["not running"])
        self.restart_held(job)
        self.unhold(job)
        self.finish_well(job)

    def test_failure_is_told_by_the_end_of_file(self):
        job = self.image_of()
        reader, writer = os.pipe()
        job.restart("--hold", "--ready-fd", str(writer), "--pids", "real", image=job.name,
                    pass_fds=[writer])
        os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            self.assertEqual(ready.read(), b"")
        self.assertEqual(job.finish(), 69, job.report())
        self.assertFalse(os.path.exists(self.path("held")))
        self.refused(64, "restart", "--ready-fd", "77", job.name, about=["77"])

    def test_ready_without_hold(self):
        job = self.image_of()
        reader, writer = os.pipe()
        job.restart("--ready-fd", str(writer), pass_fds=[writer])
        os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            self.assertEqual(ready.read(), b"r", job.report())
        job.wait_restarted()
        self.finish_well(job)

    def test_waits_while_the_owner_lives(self):
        job = self.start()
        job.checkpoint("--hold")
        copy = Job(self.bench, [], env={"GUEST_GO": self.go}, restart_options=["--pids", "namespace"])
        copy.virtual_pid = job.virtual_pid
        self.restart_held(copy)
        done = self.bench.ckpt("unhold", copy.popen.pid)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertIn("is running under", done.stderr)
        self.unhold(job, "--end")  # by name it is the owner
        self.assertEqual(job.finish(), 85, job.report())
        self.unhold(job)
        self.finish_well(copy)

    def test_copy_that_has_lost_a_process_does_not_go_on(self):
        job = self.image_of()
        self.restart_held(job)
        processes.kill(job.pid())
        self.refused(75, "unhold", job.name, about=["killed while it was held"], beside=job)
        self.assertEqual(job.finish(), 75, job.report())
        self.assertFalse(job.has_finished())
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_clone_is_held(self):
        job = self.image_of()
        self.restart_held(job, "--as", "copy")
        self.unhold("copy")
        self.assertEqual(self.incarnation("copy")["counter"], 1)
        self.finish_well(job)


class Tree(Held):
    def pipeline(self, folder):
        self.bench.make_folder(os.path.join("work", folder))
        where = os.path.join(self.bench.work, folder)
        self.bench.give(where)
        self.bench.run(["mkfifo", "pipe"], cwd=where)
        return where

    def lines(self, path):
        try:
            with open(path, encoding="ascii") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0

    def goes_on(self, how):
        if how == "real":
            if not self.bench.am_root:
                self.skipTest("needs root")
            self.bench.close()
            self.bench = Bench(case.BUILD, as_root=True)
            self.addCleanup(self.bench.close)
        command = ["bash", "-c", "exec 9<>pipe; " + PIPELINE.replace("< pipe", "<&9")]
        plain = self.bench.run(command, cwd=self.pipeline("plain"))
        where = self.pipeline("moved")
        out = os.path.join(where, "out")
        job = Job(self.bench, ["sh", "-c", f"cd {where}; exec \"$@\"", "sh", *command],
                  restart_options=["--pids", how])
        job.start()
        job.wait_started()
        while self.lines(out) < 50:
            time.sleep(0.01)
        job.checkpoint("--hold")
        before = self.lines(out)
        job.kill()
        self.restart_held(job)
        tree = processes.descendants(job.popen.pid)
        job.popen.kill()
        job.popen.wait()
        self.wait_gone(tree)
        self.restart_held(job)
        time.sleep(0.3)
        self.assertEqual(self.lines(out), before)
        self.unhold(job)
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual("\n".join(job.all_lines()) + "\n", plain.stdout)
        with open(out, "rb") as ours, open(os.path.join(self.bench.work, "plain", "out"),
                                           "rb") as other:
            self.assertEqual(ours.read(), other.read())
        self.assertEqual(processes.leftovers(), [])

    def test_pipeline_real(self):
        self.goes_on("real")

    def test_pipeline_namespace(self):
        self.goes_on("namespace")

    def test_pipeline_virtual(self):
        self.goes_on("virtual")

    def test_stopped_process_dies_with_the_supervisor(self):
        """It does not look after the supervisor by itself."""
        job = Job(self.bench, ["bash", "-c", STOPPED_CHILD],
                  restart_options=["--pids", "virtual"])
        job.start()
        job.wait_started()
        job.checkpoint()
        job.kill()
        self.restart_held(job)
        tree = processes.descendants(job.popen.pid)
        self.assertEqual(len(tree), 2)
        job.popen.kill()
        job.popen.wait()
        self.wait_gone(tree)

    def test_stopped_process_of_a_held_checkpoint_dies_with_the_supervisor(self):
        job = Job(self.bench, ["bash", "-c", STOPPED_CHILD])
        job.start()
        job.wait_started()
        job.checkpoint("--hold")
        self.unhold(job)
        stopped = processes.children(job.pid())[0]
        self.assertEqual(processes.status(stopped)["State"].strip()[0], "T")
        job.checkpoint("--hold")
        tree = processes.descendants(job.popen.pid)
        self.assertEqual(len(tree), 2)
        job.popen.kill()
        job.popen.wait()
        self.wait_gone(tree)

    def test_stopped_process_is_ended(self):
        job = Job(self.bench, ["bash", "-c", "kill -STOP $$; echo on"])
        job.start()
        job.note_pid()
        while processes.status(job.virtual_pid).get("State", "\t?").strip()[0] != "T":
            time.sleep(0.01)
        job.checkpoint()
        job.kill()
        self.restart_held(job)
        self.unhold(job, "--end")
        self.assertEqual(job.finish(), 85, job.report())
        self.assertEqual(processes.leftovers(), [])
        self.restart_held(job)
        self.unhold(job)
        os.kill(job.pid(), signal.SIGCONT)
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual(job.output.lines(), ["on"])


class Counter(Held):
    def test_is_given(self):
        job = self.image_of()
        self.restart_held(job)
        self.unhold(job, "--counter", "7")
        self.assertEqual(self.incarnation()["counter"], 7)
        job.kill()
        self.restart_held(job)
        self.unhold(job, "--counter", "7")
        self.assertEqual(self.incarnation()["counter"], 8)
        self.finish_well(job)

    def test_too_low_is_refused(self):
        job = self.image_of()
        self.elsewhere(6)
        self.restart_held(job)
        self.refused(75, "unhold", job.name, about=["far-away"], beside=job)
        self.refused(69, "unhold", "--counter", "5", job.name, about=["incarnation 6"], beside=job)
        self.refused(75, "unhold", "--counter", "6", job.name, about=["far-away"], beside=job)
        self.unhold(job, "--counter", "7")
        self.assertEqual(self.incarnation()["counter"], 7)
        self.finish_well(job)

    def test_decides_at_a_restart_too(self):
        job = self.image_of()
        self.elsewhere(6)
        self.refused(75, "restart", job.name, about=["far-away", "--force"])
        self.refused(69, "restart", "--counter", "5", job.name, about=["incarnation 6"])
        job.restart("--counter", "9", image=job.name)
        job.wait_restarted()
        self.assertEqual(self.incarnation()["counter"], 9)
        self.finish_well(job)

    def test_of_a_held_checkpoint_is_raised(self):
        job = self.start()
        job.checkpoint("--hold")
        self.refused(69, "unhold", "--counter", "0", job.name, about=["incarnation 1"], beside=job)
        self.unhold(job, "--counter", "4")
        self.assertEqual(self.incarnation()["counter"], 4)
        job.checkpoint()
        self.finish_well(job)
        with open(self.path("finished"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["incarnation"], 4)


class Moved(Held):
    def check_moved(self, job, counter):
        owner = self.incarnation()
        self.assertEqual((owner["counter"], owner["host"], owner["pid"], owner["ended"]),
                         (counter, "far-away", 0, False))
        self.assertIn("on far-away", self.bench.ckpt("ls").stdout)
        self.refused(75, "restart", job.name, about=["has moved to host far-away", "--force"])
        self.refused(75, "rm", job.name, about=["far-away"])
        job.restart("--force", image=job.name)
        job.wait_restarted()
        self.assertEqual(self.incarnation()["counter"], counter + 1)
        self.finish_well(job)

    def test_held_job_moves(self):
        job = self.start("threads_condvar")
        self.refused(66, "unhold", "--end", "--moved-to", "far-away", "--counter", "2", job.name,
                     about=["not held"], beside=job)
        job.checkpoint("--hold")
        tree = processes.descendants(job.popen.pid)
        self.refused(69, "unhold", "--end", "--moved-to", "far-away", "--counter", "1", job.name,
                     about=["incarnation 1"], beside=job)
        self.unhold(job, "--end", "--moved-to", "far-away", "--counter", "2")
        self.assertEqual([pid for pid in tree if processes.alive(pid)], [])
        self.assertEqual(self.incarnation()["counter"], 2)
        self.assertEqual(job.finish(), 85, job.report())
        self.unhold(job, "--end", "--moved-to", "far-away", "--counter", "2")
        self.check_moved(job, 2)

    def test_large_job_moves(self):
        """Its memory is given back later than its processes end; nobody stays for long."""
        job = Job(self.bench, [sys.executable, "-c", LARGE])
        job.start()
        job.wait_started()
        for way in ("namespace", "virtual", None):
            job.checkpoint("--hold")
            program = [pid for pid in processes.descendants(job.popen.pid)
                       if processes.status(pid)["Name"].strip().startswith("python3")]
            self.assertEqual(len(program), 2)
            counter = self.incarnation()["counter"] + 1
            self.unhold(job, "--end", "--moved-to", "far-away", "--counter", str(counter))
            self.assertEqual([pid for pid in program if processes.alive(pid)], [])
            self.assertEqual(job.finish(), 85, job.report())
            self.assertEqual(processes.leftovers(keep=[]), [])
            if way:
                job.restart_options = ["--pids", way]
                job.restart("--force", image=job.name)
                job.wait_restarted()

    def test_dead_job_moves(self):
        job = self.image_of()
        self.unhold(job, "--end", "--moved-to", "far-away", "--counter", "5")
        self.check_moved(job, 5)

    def test_program_of_a_dead_supervisor_is_killed(self):
        job = Job(self.bench, ["bash", "-c", "sleep 1000 & echo ready; wait"])
        job.start()
        job.wait_started()
        job.checkpoint()
        tree = processes.descendants(job.popen.pid)
        job.popen.kill()
        job.popen.wait()
        self.assertEqual(len([pid for pid in tree if processes.alive(pid)]), 2)
        self.unhold(job, "--end", "--moved-to", "far-away", "--counter", "2")
        self.assertEqual([pid for pid in tree if processes.alive(pid)], [])
        self.assertEqual(self.incarnation()["host"], "far-away")

    def test_running_job_does_not_move(self):
        job = self.start()
        job.checkpoint()
        words = ["unhold", "--end", "--moved-to", "far-away"]
        self.assertEqual(self.bench.ckpt(*words, job.name).returncode, 64)
        self.assertEqual(self.bench.ckpt("unhold", "--end", "--counter", "2",
                                         job.name).returncode, 64)
        self.refused(66, *words, "--counter", "2", job.name, about=["not held"], beside=job)
        self.finish_well(job)
        self.refused(69, *words, "--counter", "2", job.name, about=["has finished"])

    def test_newer_life_elsewhere_stays(self):
        job = self.start()
        job.checkpoint("--hold")
        self.elsewhere(2)
        done = self.bench.ckpt("unhold", job.popen.pid)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("belongs to incarnation 2", done.stderr)
        self.unhold(job, "--end", "--moved-to", "far-away", "--counter", "2")
        self.assertEqual(job.finish(), 85, job.report())
        self.assertNotEqual(self.incarnation()["pid"], 0)
        self.unhold(job, "--end", "--moved-to", "far-away", "--counter", "2")
        self.assertNotEqual(self.incarnation()["pid"], 0)

    def test_to_a_copy_that_is_held_here(self):
        """As between two hosts that share the folder."""
        job = self.start()
        job.checkpoint("--hold")
        copy = Job(self.bench, [], env={"GUEST_GO": self.go})
        copy.virtual_pid = job.virtual_pid
        self.restart_held(copy, "--pids", "namespace")
        self.unhold(job, "--end", "--moved-to", socket.gethostname(), "--counter", "2")
        self.assertEqual(job.finish(), 85, job.report())
        self.refused(75, "unhold", copy.name, about=["has moved to"], beside=copy)
        self.refused(69, "unhold", "--end", "--moved-to", "far-away", "--counter", "3", copy.name,
                     about=["has not run"], beside=copy)
        self.unhold(copy, "--counter", "2")
        self.assertEqual(self.incarnation()["counter"], 2)
        self.finish_well(copy)


    def test_lock_passes_with_the_release(self):
        """A lock that the job has on a shared file system is free only when it has ended there."""
        path = os.path.join(self.bench.work, "locked")
        program = ("import fcntl, os, time\n"
                   f"file = open('{path}', 'w')\nfcntl.lockf(file, fcntl.LOCK_EX)\n"
                   "print('ready', flush=True)\n"
                   "while not os.path.exists(os.environ['GUEST_GO']): time.sleep(0.01)\n"
                   "if os.fork(): print('status', os.wait()[1], flush=True)\n"
                   f"else: fcntl.lockf(open('{path}', 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n")
        command = ["/usr/bin/python3", "-c", program]
        job = Job(self.bench, command, env={"GUEST_GO": self.go})
        job.start()
        job.wait_started()
        job.checkpoint("--hold")
        copy = Job(self.bench, [], env={"GUEST_GO": self.go})
        self.restart_held(copy, "--pids", "namespace")
        self.unhold(job, "--end", "--moved-to", socket.gethostname(), "--counter", "2")
        self.assertEqual(job.finish(), 85, job.report())
        self.unhold(copy, "--counter", "2")
        self.release()
        self.assertEqual(copy.finish(), 0, copy.report())
        self.assertEqual(copy.output.lines()[-1:], ["status 256"], copy.report())
        self.assertIn(b"BlockingIOError", copy.errors.text)


class OwnTerminal(Held):
    def start_on_terminal(self):
        job = Job(self.bench, ["bash", "-c", "stty -echo; echo ready; read x; echo got $x; exit 3"],
                  options=["--pty"], stdin=subprocess.PIPE)
        job.start()
        while not self.incarnation_if_any().get("root_pid"):
            time.sleep(0.01)
        deadline = time.monotonic() + STEP_SECONDS
        while b"ready" not in job.output.text and time.monotonic() < deadline:
            time.sleep(0.01)
        return job

    def incarnation_if_any(self):
        try:
            return self.incarnation()
        except (FileNotFoundError, ValueError):
            return {}

    def restart_on_terminal(self, how):
        job = self.start_on_terminal()
        done = self.bench.ckpt("--stop", job.name)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(job.finish(), 85, job.report())
        job.popen.stdin.close()
        job.stdin, job.restart_options = subprocess.DEVNULL, ["--pids", how]
        self.restart_held(job)
        return job

    def goes_on(self, how):
        job = self.restart_on_terminal(how)
        self.unhold(job)
        self.attach(job)

    def attach(self, job):
        reader, writer = os.openpty()
        attached = subprocess.Popen([self.bench.tool("ckpt"), "attach", job.name], stdin=writer,
                                    stdout=writer, stderr=writer, env=self.bench.environment,
                                    start_new_session=True, **self.bench.identity())
        os.close(writer)
        os.write(reader, b"a word\n")
        text = b""
        while b"got a word" not in text:
            try:
                text += os.read(reader, 1000)
            except OSError:
                self.fail(f"the client has ended with {attached.wait(STEP_SECONDS)}: {text}")
        self.assertEqual(attached.wait(STEP_SECONDS), 3)
        os.close(reader)
        self.assertEqual(job.popen.wait(STEP_SECONDS), 0)  # told to leave
        self.assertEqual(processes.leftovers(), [])

    def test_goes_on_namespace(self):
        self.goes_on("namespace")

    def test_goes_on_virtual(self):
        self.goes_on("virtual")

    def test_is_ended(self):
        job = self.restart_on_terminal("virtual")
        self.unhold(job, "--end")
        self.assertEqual(job.finish(), 85, job.report())
        self.assertEqual(processes.leftovers(), [])
        self.restart_held(job)
        self.unhold(job)
        self.attach(job)

    def test_is_ended_by_a_signal_to_the_client(self):
        job = self.restart_on_terminal("namespace")
        job.popen.terminate()
        self.assertEqual(job.finish(), 128 + signal.SIGTERM, job.report())
        self.assertEqual(processes.leftovers(), [])

    def test_dies_with_its_supervisor(self):
        job = self.restart_on_terminal("virtual")
        with open(self.path("held"), encoding="utf-8") as file:
            supervisor = json.load(file)["pid"]
        tree = processes.descendants(job.popen.pid)
        self.assertIn(supervisor, tree)
        processes.kill(supervisor)
        self.assertEqual(job.finish(), 128 + signal.SIGKILL, job.report())
        self.wait_gone(tree)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
