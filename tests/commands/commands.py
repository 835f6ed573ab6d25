#!/usr/bin/python3
"""The commands as their users see them: exit statuses, names, options, printed results."""
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, processes  # noqa: E402
from harness.job import Bench, Job  # noqa: E402


class Run(case.Case):
    """ckrun passes on what the program does."""

    def ckrun(self, *arguments, **more):
        return self.bench.run([self.bench.tool("ckrun"), *arguments], **more)

    def test_exit_status_is_the_programs(self):
        for status in (0, 1, 77, 255):
            self.assertEqual(self.ckrun("sh", "-c", f"exit {status}").returncode, status)

    def test_death_by_signal_is_128_plus(self):
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
            done = self.ckrun("--", "sh", "-c", f"kill -{int(number)} $$")
            self.assertEqual(done.returncode, 128 + number, done.stderr)

    def test_output_passes_unchanged(self):
        done = self.ckrun("--", "sh", "-c", "printf 'a\\0b\\n'; echo error >&2")
        self.assertEqual(done.stdout, "a\0b\n")
        self.assertEqual(done.stderr, "error\n")

    def test_inside_of_a_job_is_refused(self):
        done = self.ckrun(self.bench.tool("ckrun"), "true")
        self.assert_fails(done, 69, about=["inside of a job"])

    def test_closed_streams_stay_closed(self):
        for number in (0, 1, 2):
            done = self.bench.run(["sh", "-c", self.bench.tool("ckrun") + " sh -c '[ ! -e /proc/$$/fd/"
                                   f"{number} ]' {number}>&-"])
            self.assertEqual(done.returncode, 0, (number, done.stderr))

    def test_program_that_is_missing_is_127(self):
        self.assert_fails(self.ckrun("no-such-program"), 127, about=["no-such-program"])
        self.assert_fails(self.ckrun("./none"), 127, about=["./none"])

    def test_program_that_cannot_be_run_is_126(self):
        path = os.path.join(self.bench.work, "plain-text")
        with open(path, "w", encoding="ascii") as file:
            file.write("not a program\n")
        os.chmod(path, 0o644)
        self.assert_fails(self.ckrun(path), 126, about=["plain-text"])

    def test_static_program_is_refused(self):
        done = self.ckrun(self.guest("refused_static"))
        self.assertEqual(done.stdout, "")
        self.assert_fails(done, 69, about=["static"])

    def test_setuid_program_is_refused(self):
        if not self.bench.am_root:
            self.skipTest("only root can make a setuid program of another user")
        path = os.path.join(self.bench.folder, "setuid-program")
        with open("/bin/true", "rb") as source, open(path, "wb") as copy:
            copy.write(source.read())
        os.chmod(path, 0o4755)
        self.assert_fails(self.ckrun(path), 69, about=["setuid"])

    def test_script_runs_by_its_interpreter(self):
        path = os.path.join(self.bench.work, "script")
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho \"script $1\"\n")
        os.chmod(path, 0o755)
        done = self.ckrun(path, "argument")
        self.assertEqual((done.returncode, done.stdout), (0, "script argument\n"), done.stderr)

    def test_wrong_option_is_usage(self):
        self.assertEqual(self.ckrun("--no-such-option", "true").returncode, 64)
        self.assertEqual(self.ckrun().returncode, 64)

    def test_name_that_is_empty_is_usage(self):
        self.assert_fails(self.ckrun("--name", "", "true"), 64, about=["empty"])
        self.assert_fails(self.bench.ckpt("restart", "--as", "", "job"), 64, about=["empty"])

    def test_folder_of_a_file_system_that_takes_none(self):
        for folder in ("/proc", "/proc/jobs"):
            self.assert_fails(self.ckrun("--dir", folder, "true"), 74, about=["/proc"])

    def test_help_shows_examples(self):
        done = self.ckrun("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("xample", done.stdout)

    def test_signals_are_passed_on(self):
        job = Job(self.bench, ["sh", "-c", "trap 'echo got it; exit 3' TERM; echo ready;"
                               " while :; do sleep 0.05; done"])
        job.start()
        job.wait_started()
        job.popen.terminate()
        self.assertEqual(job.finish(), 3, job.report())
        self.assertEqual(job.output.lines(), ["ready", "got it"])

    def test_no_thread_and_no_descriptor_is_added(self):
        code = "import os; print([sorted(os.listdir('/proc/self/' + n)) for n in ('task', 'fd')][1],"
        code += " len(os.listdir('/proc/self/task')))"
        outputs = []
        for prefix in ([], [self.bench.tool("ckrun"), "--"]):
            done = self.bench.run([*prefix, "/usr/bin/python3", "-c", code])
            outputs.append(done.stdout)
        self.assertEqual(outputs[0], outputs[1])


class Trees(case.Case):
    """Jobs of several processes, as their users see them."""

    def test_job_goes_on_after_its_program(self):
        ticks = os.path.join(self.bench.work, "ticks")
        daemon = f"for i in 1 2 3 4 5 6 7 8; do echo $i >> {ticks}; sleep 0.15; done"
        job = Job(self.bench, ["sh", "-c", f"setsid sh -c '{daemon}' & echo ready; exit 3"],
                  name="daemon")
        job.start()
        job.wait_started()
        while not os.path.exists(ticks):
            time.sleep(0.01)
        done = self.bench.ckpt("--stop", "daemon")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(job.finish(), 85, job.report())
        again = self.bench.ckpt("restart", "daemon")
        self.assertEqual(again.returncode, 3, again.stderr)
        with open(ticks, encoding="ascii") as file:
            self.assertEqual(file.read().split(), list("12345678"))
        self.assertEqual(self.bench.ckpt("restart", "daemon").returncode, 3)

    def uncontrolled(self):
        """A job with a child that has no agent: its environment is another, by a raw call."""
        return self.start_with_child([
            "name = ctypes.c_char_p(b'/bin/sleep')",
            "words = (ctypes.c_char_p * 3)(b'sleep', b'20', None)",
            "ctypes.CDLL(None).syscall(59, name, words, (ctypes.c_char_p * 1)(None))"])

    def test_uncontrolled_child_is_refused_by_name(self):
        job = self.uncontrolled()
        done = self.bench.ckpt("mixed")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("(sleep) runs without the agent", done.stderr)
        check = self.bench.ckpt("check", "mixed")
        self.assertEqual(check.returncode, 69, check.stdout + check.stderr)
        self.assertIn("(sleep): runs without the agent", check.stdout)
        job.kill()

    def test_uncontrolled_child_is_left_out_on_demand(self):
        job = self.uncontrolled()
        done = self.bench.ckpt("--allow-uncontrolled", "mixed")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("(sleep)", done.stderr)
        job.kill()

    def start_with_child(self, child, bench=None):
        """A job with a child that runs these statements."""
        code = ("import ctypes, os, time\nif os.fork() == 0:\n    " + "\n    ".join(child) +
                "\ntime.sleep(0.5)\nprint('ready', flush=True)\ntime.sleep(20)\n")
        job = Job(bench or self.bench, ["/usr/bin/python3", "-c", code], name="mixed")
        job.start()
        job.wait_started()
        return job

    def assert_refused_and_left_out(self, job, *about):
        """At once, by check and checkpoint for the same reason; and left out on demand."""
        begin = time.monotonic()
        done = job.bench.ckpt("mixed")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertLess(time.monotonic() - begin, 15)
        check = job.bench.ckpt("check", "mixed")
        self.assertEqual(check.returncode, 69, check.stdout + check.stderr)
        for word in about:
            self.assertIn(word, done.stderr)
            self.assertIn(word, check.stdout)
        done = job.bench.ckpt("--allow-uncontrolled", "mixed")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(about[0], done.stderr)
        job.kill()

    def test_child_that_lost_only_the_preload(self):
        job = self.start_with_child([
            "kept = [k + b'=' + v for k, v in os.environb.items() if k != b'LD_PRELOAD']",
            "name = ctypes.c_char_p(b'/bin/sleep')",
            "words = (ctypes.c_char_p * 3)(b'sleep', b'20', None)",
            "entries = (ctypes.c_char_p * (len(kept) + 1))(*kept, None)",
            "ctypes.CDLL(None).syscall(59, name, words, entries)"])
        self.assert_refused_and_left_out(job, "(sleep)", "an environment that lacks it")

    def setgid_program(self):
        if not self.bench.am_root:
            self.skipTest("only root can make a setgid program of another group")
        path = os.path.join(self.bench.folder, "drops-group")
        shutil.copyfile(self.guest("refused_drops_group"), path)
        os.chown(path, 0, 54321)
        os.chmod(path, 0o2755)
        return path

    def test_setgid_child(self):
        path = self.setgid_program()
        job = self.start_with_child([f"os.execv({path!r}, ['x'])"])
        self.assert_refused_and_left_out(job, "(drops-group)", "undumpable (setgid")

    def as_root(self):
        bench = Bench(self.bench.build, as_root=True)
        self.addCleanup(bench.close)
        return bench

    def test_setgid_child_of_root(self):
        path = self.setgid_program()
        job = self.start_with_child([f"os.execv({path!r}, ['x'])"], self.as_root())
        self.assert_refused_and_left_out(job, "(drops-group)", "is setuid, setgid")

    def test_child_of_another_user(self):
        """Its agent cannot open the control area."""
        if not self.bench.am_root:
            self.skipTest("only root can become another user")
        job = self.start_with_child(["os.setgid(64321); os.setuid(64321)",
                                     "os.execv('/bin/sleep', ['sleep', '20'])"], self.as_root())
        self.assert_refused_and_left_out(job, "(sleep)", "runs as user 64321")

    def test_pipes_to_a_child_that_is_left_out(self):
        """After a restart they are as if it had ended."""
        code = ("import ctypes, os, time\n"
                "told, from_child = os.pipe(), os.pipe()\n"
                "if os.fork() == 0:\n"
                "    os.write(from_child[1], b'unread')\n"
                "    os.close(from_child[0]), os.close(told[1])\n"
                "    for fd in (told[0], from_child[1]): os.set_inheritable(fd, True)\n"
                "    name = ctypes.c_char_p(b'/bin/sleep')\n"
                "    words = (ctypes.c_char_p * 3)(b'sleep', b'20', None)\n"
                "    ctypes.CDLL(None).syscall(59, name, words, (ctypes.c_char_p * 1)(None))\n"
                "os.close(from_child[1]), os.close(told[0])\n"
                "time.sleep(0.3)\nprint('ready', flush=True)\n"
                "while not os.path.exists('go'): time.sleep(0.01)\n"
                "assert os.read(from_child[0], 100) == b'unread'\n"
                "assert os.read(from_child[0], 100) == b''\n"
                "try: os.write(told[1], b'x')\n"
                "except BrokenPipeError: print('ok', flush=True)\n")
        job = Job(self.bench, ["/usr/bin/python3", "-c", code], name="pipes")
        job.start()
        job.wait_started()
        self.assertEqual(self.bench.ckpt("pipes").returncode, 69)
        done = self.bench.ckpt("--allow-uncontrolled", "pipes")
        self.assertEqual(done.returncode, 0, done.stderr)
        job.image = done.stdout.splitlines()[-1]
        job.kill()
        job.restart()
        with open(os.path.join(self.bench.work, "go"), "w", encoding="ascii"):
            pass
        self.finish_well(job)


class Save(case.Case):
    def test_pid_of_program_of_supervisor_and_job_name(self):
        job = self.start(name="by-name")
        for target in (job.pid(), job.popen.pid, "by-name"):
            done = self.bench.ckpt(target)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(os.path.isfile(done.stdout.splitlines()[-1]))
        done = self.bench.ckpt("save", "by-name")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("gen-000004.ckpt", done.stdout)
        self.finish_well(job)

    def test_job_of_another_user(self):
        if not self.bench.am_root:
            self.skipTest("needs two users")
        bench = Bench(self.bench.build, as_root=True)
        self.addCleanup(bench.close)
        job = Job(bench, [self.guest("counter")], env={"GUEST_GO": self.go})
        job.start()
        job.wait_started()
        for arguments in ((), ("check",), ("--stop",), ("suspend",), ("unhold",)):
            for pid in (job.popen.pid, job.pid()):
                done = self.bench.ckpt(*arguments, pid)
                self.assert_fails(done, 77, beside=job,
                                  about=[f"supervisor {job.popen.pid} belongs to another user"])
        self.finish_well(job)

    def test_image_and_folder_are_private(self):
        job = self.start()
        image = job.checkpoint()
        self.assertEqual(stat.S_IMODE(os.stat(image).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(image)).st_mode), 0o700)
        self.assertEqual(processes.status(job.pid())["TracerPid"].strip(), "0")
        self.finish_well(job)

    def test_stop_ends_the_job_with_85(self):
        job = self.start()
        image = job.checkpoint("--stop")
        self.assertEqual(job.finish(), 85, job.report())
        told = json.loads(self.bench.ckpt("inspect", "--json", image).stdout)
        self.assertGreater(told["pause_ns"], 0)
        self.assertEqual(processes.leftovers(keep=[job.popen.pid]), [])
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_job_without_working_directory_is_not_stopped(self):
        gone = os.path.join(self.bench.work, "gone")
        program = (f"import os, time\nos.mkdir({gone!r})\nos.chdir({gone!r})\nos.rmdir({gone!r})\n"
                   "print('ready', flush=True)\n"
                   "while not os.path.exists(os.environ['GUEST_GO']): time.sleep(0.01)\n"
                   "print('ok', flush=True)\n")
        job = Job(self.bench, ["/usr/bin/python3", "-c", program], name="astray",
                  env={"GUEST_GO": self.go})
        job.start()
        job.wait_started()
        for wanted in ("--stop", "--hold"):
            self.assert_fails(self.bench.ckpt(wanted, job.name), 69, beside=job,
                              about=["working directory", gone])
        job.checkpoint()
        os.mkdir(gone)
        self.bench.give(gone)
        job.checkpoint("--stop")
        self.assertEqual(job.finish(), 85, job.report())
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def start_connected(self):
        """A job with a TCP connection to us, which says what becomes of it once we ask."""
        listener = socket.create_server(("127.0.0.1", 0))
        program = ("import socket, os, select, time\n"
                   f"s = socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}))\n"
                   "print('ready', flush=True)\n"
                   "while not os.path.exists(os.environ['GUEST_GO']): time.sleep(0.01)\n"
                   "try: print(s.recv(10).decode(), flush=True)\n"
                   "except ConnectionResetError: print('reset', flush=True)\n")
        job = Job(self.bench, ["/usr/bin/python3", "-c", program], name="connected",
                  env={"GUEST_GO": self.go}, restart_options=["--pids", "namespace"])
        job.start()
        job.wait_started()
        connection = listener.accept()[0]
        self.addCleanup(listener.close)
        self.addCleanup(connection.close)
        return job, connection

    def test_connection_to_outside_survives_a_checkpoint(self):
        job, connection = self.start_connected()
        job.checkpoint()
        connection.sendall(b"hello")
        with open(self.go, "w", encoding="ascii"):
            pass
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual(job.all_lines(), ["ready", "hello"])

    def test_connection_to_outside_is_reset_at_a_restart(self):
        job, connection = self.start_connected()
        connection.sendall(b"unread")
        job.checkpoint("--stop")
        self.assertEqual(job.finish(), 85, job.report())
        job.restart()
        job.wait_restarted()
        with open(self.go, "w", encoding="ascii"):
            pass
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual(job.all_lines()[-1], "reset")

    def test_connection_to_outside_is_refused_if_asked(self):
        job, connection = self.start_connected()
        done = self.bench.ckpt("--tcp=refuse", job.pid())
        self.assertEqual(done.returncode, 69, done.stderr)
        for word in ("TCP socket", "outside", "--tcp=reset"):
            self.assertIn(word, done.stderr)
        connection.sendall(b"goes on")
        with open(self.go, "w", encoding="ascii"):
            pass
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual(job.all_lines(), ["ready", "goes on"])

    def test_requests_at_once_come_one_after_the_other(self):
        job = self.start("malloc_threads")

        def ask(*options):
            return subprocess.Popen([self.bench.tool("ckpt"), *options, job.name],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                    env=self.bench.environment, **self.bench.identity())
        asking = [ask("--compress", "zstd:9", "--threads", "1") for _ in range(3)]
        answers = [one.communicate(timeout=60) + (one.returncode,) for one in asking]
        self.assertEqual([status for _, _, status in answers], [0, 0, 0], answers)
        self.assertEqual(len({image for image, _, _ in answers}), 3, answers)
        self.finish_well(job)

    def test_stop_exit_is_chosen(self):
        job = self.start()
        job.checkpoint("--stop", "--stop-exit", "7")
        self.assertEqual(job.finish(), 7, job.report())

    def progress(self, job):
        """How much the job's process has run: clock ticks."""
        with open(f"/proc/{job.pid()}/stat", encoding="utf-8") as file:
            words = file.read().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])

    def start_held(self, guest="counter"):
        job = self.start(guest)
        job.checkpoint("--hold")
        before = self.progress(job)
        time.sleep(0.3)
        # Looking after the supervisor now and then may complete a tick.
        self.assertLessEqual(self.progress(job), before + 1)
        self.assert_fails(self.bench.ckpt(job.name), 75, beside=job)
        return job

    def test_held_job_goes_on(self):
        job = self.start_held()
        done = self.bench.ckpt("unhold", job.name)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_fails(self.bench.ckpt("unhold", job.name), 66, about=["not held"], beside=job)
        job.checkpoint()
        self.finish_well(job)

    def test_images_on_top_of_others(self):
        job = self.start("malloc_threads")
        first = job.checkpoint("save", "--track")
        second = job.checkpoint("save", "--track", "--on-top-of", first)
        third = job.checkpoint("save", "--on-top-of", second)
        job.kill()
        told = json.loads(self.bench.ckpt("inspect", "--json", third).stdout)
        folder = os.path.dirname(third)
        parents = [os.path.join(folder, name) for name in told["parents"]]
        self.assertEqual([os.path.samefile(*pair) for pair in zip(parents, (second, first))],
                         [True, True])
        # The names of the others may go; what is needed stays until nothing needs it.
        self.assertEqual(self.bench.ckpt("rm", first, second).returncode, 0)
        self.assertTrue(all(os.path.exists(parent) for parent in parents))
        self.assertEqual(self.bench.ckpt("verify", third).returncode, 0)
        copy = os.path.join(self.bench.work, "copy.ckpt")
        shutil.copy(third, copy)
        self.bench.give(copy)
        self.assert_fails(self.bench.ckpt("verify", copy), 65, about=["is not whole", ".parent-"])
        job.restart("--as", "clone")
        job.wait_restarted()
        self.assertEqual(self.bench.ckpt("rm", third).returncode, 0)
        self.assertFalse(any(os.path.exists(parent) for parent in parents))
        self.release()
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual(self.bench.ckpt("restart", "--force", "clone").returncode, 0)

    def test_on_top_of_what_is_no_image(self):
        job = self.start()
        self.assert_fails(self.bench.ckpt("save", "--on-top-of", "/nowhere", job.name), 66,
                          about=["/nowhere"], beside=job)
        self.assert_fails(self.bench.ckpt("save", "--on-top-of", "/etc/passwd", job.name), 65,
                          about=["/etc/passwd"], beside=job)
        job.checkpoint()
        self.finish_well(job)

    def test_job_whose_asker_died_is_not_held(self):
        job = self.start("malloc_threads")
        with subprocess.Popen([self.bench.tool("ckpt"), "--hold", "--compress", "zstd:19",
                               "--threads", "1", job.name], stdout=subprocess.PIPE,
                              env=self.bench.environment, **self.bench.identity()) as asker:
            time.sleep(0.2)  # it compresses for seconds
            asker.kill()
            self.assertEqual(asker.stdout.read(), b"")
        deadline = time.monotonic() + 60
        while self.bench.ckpt(job.name).returncode == 75 and time.monotonic() < deadline:
            time.sleep(0.1)  # until it is over
        job.checkpoint()
        self.finish_well(job)

    def test_held_job_is_ended(self):
        job = self.start_held()
        done = self.bench.ckpt("unhold", "--end", job.name)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(job.finish(), 85, job.report())
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_held_job_dies_with_its_supervisor(self):
        job = self.start_held("threads_condvar")
        pid = job.pid()
        job.popen.kill()
        job.popen.wait()
        deadline = time.monotonic() + 10
        while processes.alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertFalse(processes.alive(pid))
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_kill_with_the_request_signal(self):
        job = self.start(name="asked")
        os.kill(job.pid(), signal.SIGUSR2)
        self.wait_for_image("asked", 1)
        os.kill(job.popen.pid, signal.SIGUSR2)
        self.wait_for_image("asked", 2)
        self.finish_well(job)

    def test_ckpt_s_sends_the_signal_alone(self):
        job = self.start(name="asked")
        done = self.bench.ckpt("-s", "SIGUSR2", job.pid())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.wait_for_image("asked", 1)
        self.finish_well(job)

    def test_request_signal_is_chosen(self):
        job = self.start(name="asked", options=["-s", "SIGUSR1"])
        os.kill(job.pid(), signal.SIGUSR1)
        self.wait_for_image("asked", 1)
        self.finish_well(job)

    def test_interval_and_keep(self):
        job = self.start(name="often", options=["--interval", "1s", "--keep", "2"])
        self.wait_for_image("often", 4)
        names = sorted(name for name in os.listdir(self.folder("often")) if name.endswith(".ckpt"))
        self.assertIn(len(names), (2, 3), names)  # 3: while the next one is being made
        self.finish_well(job)

    def test_compress_none_and_level(self):
        sizes = {}
        for codec in ("none", "zstd", "zstd:9"):
            job = self.start("malloc_threads", name="c" + codec.replace(":", "-"),
                             options=["--compress", codec])
            sizes[codec] = os.path.getsize(job.checkpoint())
            self.finish_well(job)
            self.hold()
        self.assertGreater(sizes["none"], sizes["zstd"])

    def test_nothing_is_written_but_the_result(self):
        job = self.start("heap_brk")
        done = self.bench.ckpt(job.pid())
        self.assertEqual(done.stderr, "")
        self.assertEqual(len(done.stdout.splitlines()), 1)
        self.finish_well(job)
        self.assertEqual(job.errors.lines(), [])

    def test_more_threads_than_max_threads_are_refused(self):
        job = self.start("threads_condvar", options=["--max-threads", "1"])
        done = self.bench.ckpt(job.pid())
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("--max-threads", done.stderr)
        self.finish_well(job)

    def test_max_threads_holds_after_a_restart(self):
        job = self.start(options=["--max-threads", "1"])
        for _ in range(2):
            job.checkpoint()
            job.kill()
            job.restart()
            job.wait_restarted()
        self.finish_well(job)

    def refused_and_goes_on(self, guest, word, check=True):
        """`check`: it can be told from outside."""
        job = self.start(guest, name=guest)
        done = self.bench.ckpt(job.pid())
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(word, done.stderr)
        if check:
            told = self.bench.ckpt("check", job.pid())
            self.assertEqual(told.returncode, 69, told.stdout + told.stderr)
            self.assertIn(word, told.stdout)
        self.finish_well(job)
        self.hold()

    def test_namespaces_of_its_own_are_refused(self):
        self.refused_and_goes_on("refused_own_namespace", "user namespace that the job has made")

    def test_threads_that_are_apart_are_refused(self):
        self.refused_and_goes_on("refused_thread_files", "CLONE_FILES")
        self.refused_and_goes_on("refused_thread_folder", "CLONE_FS")
        self.refused_and_goes_on("refused_thread_no_new_privs", "other no_new_privs")

    def test_threads_with_capabilities_of_their_own_are_refused(self):
        if not self.bench.am_root:
            self.skipTest("only root has capabilities to give up")
        self.bench.close()
        self.bench = Bench(self.bench.build, as_root=True)
        self.addCleanup(self.bench.close)
        self.go = os.path.join(self.bench.folder, "go")
        self.refused_and_goes_on("refused_thread_capabilities", "other capabilities")

    def test_children_that_share_are_refused(self):
        self.refused_and_goes_on("refused_shared_files", "CLONE_FILES")
        self.refused_and_goes_on("refused_shared_folder", "CLONE_FS")

    def test_dispatched_system_calls_are_refused(self):
        self.refused_and_goes_on("refused_dispatched_calls", "dispatched", check=False)

    def test_segments_are_refused(self):
        self.refused_and_goes_on("refused_segments", "modify_ldt", check=False)

    def test_aio_is_refused_and_the_job_goes_on(self):
        self.refused_and_goes_on("refused_aio", "asynchronous I/O context")

    def test_pressure_triggers_are_refused(self):
        if not os.access("/proc/pressure/memory", os.R_OK):
            self.skipTest("this kernel does not tell of pressure")
        self.refused_and_goes_on("refused_pressure", "trigger of pressure")

    def io_uring_is_refused(self, what, word):
        """Only a checkpoint finds out all of it."""
        job = self.start("refused_io_uring_" + what)
        done = self.bench.ckpt(job.pid())
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("-> anon_inode:[io_uring]: ", done.stderr)
        self.assertIn(word, done.stderr)
        self.finish_well(job)

    def test_io_uring_with_eventfd_is_refused(self):
        self.io_uring_is_refused("eventfd", "eventfd")

    def test_io_uring_with_buffer_groups_is_refused(self):
        self.io_uring_is_refused("buffer_group", "groups of buffers")

    def test_io_uring_with_a_file_opened_twice_is_refused(self):
        self.io_uring_is_refused("file_twice", "registered_file")

    def test_io_uring_of_two_processes_is_refused(self):
        self.io_uring_is_refused("forked", "has too")

    def test_an_io_uring_is_waited_for(self):
        job = self.start("refused_io_uring_reads")
        done = self.bench.ckpt("--timeout", "2", job.pid())
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("-> anon_inode:[io_uring]: 1 request", done.stderr)
        with subprocess.Popen([self.bench.tool("ckpt"), str(job.pid())], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=self.bench.environment,
                              **self.bench.identity()) as waiting:
            with open(os.path.join(self.bench.work, "write"), "w", encoding="ascii"):
                pass
            image, error = waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 0, error)
        job.kill()
        job.restart(image=image.strip())
        job.wait_restarted()
        self.finish_well(job)

    def test_seccomp_filter_is_refused_and_the_job_goes_on(self):
        self.refused_and_goes_on("refused_seccomp", "seccomp")

    def test_check_stops_nothing(self):
        job = self.start()
        done = self.bench.ckpt("check", job.pid())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.finish_well(job)

    def checked(self, command, *about, options=()):
        """What ckpt check finds in a job of that shell command."""
        name = f"checked{len(os.listdir(self.bench.state))}"
        job = Job(self.bench, ["sh", "-c", command], name=name, options=options)
        job.start()
        job.wait_started()
        told = self.bench.ckpt("check", job.pid())
        self.assertEqual(told.returncode, 69, told.stdout + told.stderr)
        for word in about:
            self.assertIn(word, told.stdout)
        job.kill()

    def test_check_finds_what_a_restart_would_lack(self):
        folder = os.path.join(self.bench.work, "gone")
        self.checked(f"mkdir {folder}; cd {folder}; rmdir {folder}; echo ready; sleep 60",
                     "working directory", "removed")
        self.checked("sleep 60 & sleep 60 & sleep 60 & echo ready; wait", "--max-threads",
                     options=["--max-threads", "2"])

    def test_file_with_another_name_is_refused(self):
        path = os.path.join(self.bench.work, "first")
        job = Job(self.bench, ["sh", "-c", f"exec 5>{path}; ln {path} {path}2; rm {path}; "
                                           "echo ready; sleep 60"])
        job.start()
        job.wait_started()
        for command in (["check"], []):
            done = self.bench.ckpt(*command, job.pid())
            self.assertEqual(done.returncode, 69, done.stdout + done.stderr)
            self.assertIn("hard links", done.stdout + done.stderr)
        job.kill()

    def test_removed_working_directory_can_be_made_again(self):
        folder = os.path.join(self.bench.work, "here")
        job = Job(self.bench, ["sh", "-c", f"mkdir {folder}; cd {folder}; rmdir {folder}; "
                                           "echo ready; sleep 60"])
        job.start()
        job.wait_started()
        job.checkpoint()
        job.kill()
        done = self.bench.ckpt("restart", job.image)
        self.assert_fails(done, 66, about=[f"enter the working directory {folder} in", "again"])
        os.mkdir(folder)
        self.bench.give(folder)
        job.restart()
        job.wait_restarted()
        job.kill()

    def completed(self, function, *words):
        """What bash would offer for these words, the last of which is being typed."""
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools",
                              "completion", "ckrun.bash")
        done = self.bench.run(["bash", "-c", f"source {script}; compopt() {{ :; }}; "
                               "_command_offset() { COMPREPLY=(\"program at $1\"); }; "
                               "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); "
                               f"{function}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
                               "completion", *words])
        return done.stdout.splitlines()

    def test_completion(self):
        self.assertEqual(self.completed("_ckrun", "ckrun", "--pty", "python3", ""),
                         ["program at 2"])
        self.assertEqual(self.completed("_ckrun", "ckrun", "--keep", "3", "python3", ""),
                         ["program at 3"])
        self.assertEqual(self.completed("_ckrun", "ckrun", "--keep", "=", "3", "python3", ""),
                         ["program at 4"])
        os.makedirs(os.path.join(self.bench.work, "jobs", "fit"))
        with open(os.path.join(self.bench.work, "jobs", "fit", "job.json"), "w",
                  encoding="ascii"):
            pass
        folder = os.path.join(self.bench.work, "jobs")
        for words in (["--dir", folder], [f"--dir={folder}"], ["--dir", "=", folder]):
            self.assertEqual(self.completed("_ckpt", "ckpt", "restart", *words, ""), ["fit"])

    def test_completion_of_values(self):
        nothing = [""]
        os.makedirs(os.path.join(self.bench.state, "fit"))
        with open(os.path.join(self.bench.state, "fit", "job.json"), "w", encoding="ascii"):
            pass
        for name in ("one.ckpt", "two"):
            with open(os.path.join(self.bench.work, name), "w", encoding="ascii"):
                pass
        os.mkdir(os.path.join(self.bench.work, "folder"))
        for words, offered in (
                ("restart ", ["fit", "one.ckpt"]), ("migrate ", ["fit"]), ("hosts ", nothing),
                ("top ", nothing), ("drain ", nothing), ("undrain ", nothing),
                ("resolve ", nothing), ("resolve 1f ", ["keep", "take", "drop"]),
                ("resolve 1f keep ", nothing), ("migrate --files ", ["shared", "ship", "map"]),
                ("migrate --files map ", nothing), ("migrate --bandwidth ", nothing),
                ("restart --map ", nothing), ("--on-top-of o", ["one.ckpt"])):
            self.assertEqual(self.completed("_ckpt", "ckpt", *words.split(" ")), offered, words)
        for words, offered in (
                ("--state ", ["folder"]), ("--st", ["--state"]), ("--socket t", ["two"]),
                ("invite --output t", ["two"]), ("invite -o t", ["two"])):
            self.assertEqual(self.completed("_ckd", "ckd", *words.split(" ")), offered, words)

    def test_output_that_is_lost_is_a_failure(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([self.bench.tool("ckpt"), "ls"], stdout=full, text=True,
                                  stderr=subprocess.PIPE, env=self.bench.environment, check=False)
            self.assertEqual(done.returncode, 74, done.stderr)
            self.assertIn("standard output", done.stderr)

    def test_names_in_errors_do_not_act_on_the_terminal(self):
        done = self.bench.ckpt("verify", os.path.join(self.bench.work, "a\n\x1b[31mb"))
        self.assert_fails(done, 66, about=["a\\n\\x1b[31mb"])

    def test_installed_where_the_loader_cannot_find_it(self):
        folder = os.path.join(self.bench.folder, "a blank")
        for name in ("bin", "lib"):
            shutil.copytree(os.path.join(self.bench.build, name), os.path.join(folder, name),
                            ignore=lambda _, names: [n for n in names if n.startswith("unit_")])
        done = self.bench.run([os.path.join(folder, "bin", "ckrun"), "true"])
        self.assert_fails(done, 69, about=["a blank", "LD_PRELOAD"])

    def test_changed_ids_are_refused(self):
        if not self.bench.am_root:
            self.skipTest("only root can change its ids")
        self.bench.close()
        self.bench = Bench(self.bench.build, as_root=True)
        self.addCleanup(self.bench.close)
        job = Job(self.bench, [sys.executable, "-c", "import os, time; os.setegid(6); "
                               "print('ready', flush=True); time.sleep(60)"])
        job.start()
        job.wait_started()
        for command in (["check"], []):
            done = self.bench.ckpt(*command, job.pid())
            self.assertEqual(done.returncode, 69, done.stdout + done.stderr)
            self.assertIn("runs as group 6", done.stdout + done.stderr)
        job.kill()

    def test_unknown_targets(self):
        self.assertEqual(self.bench.ckpt(4194303).returncode, 66)
        self.assertEqual(self.bench.ckpt("no-such-job").returncode, 66)
        self.assertEqual(self.bench.ckpt(os.getpid()).returncode, 66)
        self.assertEqual(self.bench.ckpt().returncode, 64)
        self.assertEqual(self.bench.ckpt("--nonsense", "1").returncode, 64)

    def test_options_before_a_subcommand(self):
        folder = self.bench.make_folder("other")
        self.assert_fails(self.bench.ckpt("--dir", folder, "restart", "job"), 64,
                          about=["--dir stands before restart", "ckpt restart --dir"])
        self.assert_fails(self.bench.ckpt("--json", "ls"), 64, about=["ckpt ls --json"])
        self.assertEqual(self.bench.ckpt("--help", "ls").returncode, 0)
        self.assert_fails(self.bench.ckpt("--dir", folder, "job"), 66)
        done = self.bench.run([self.bench.tool("ckd"), "--config", folder, "init"])
        self.assert_fails(done, 64, about=["--config stands before init", "ckd init --config"])
        self.assertFalse(os.path.exists(os.path.join(self.bench.work, ".config")))

    def test_two_checkpoints_at_once(self):
        job = self.start("heap_brk")
        commands = [subprocess.Popen([self.bench.tool("ckpt"), str(job.pid())],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                     env=self.bench.environment, **self.bench.identity())
                    for _ in range(3)]
        for command in commands:
            out, errors = command.communicate(timeout=60)
            self.assertIn(command.returncode, (0, 75), errors)
            if command.returncode == 0:
                self.assertEqual(self.bench.ckpt("verify", out.strip()).returncode, 0)
        self.finish_well(job)

    def folder(self, name):
        return os.path.join(self.bench.state, name)

    def wait_for_image(self, name, generation):
        path = os.path.join(self.folder(name), f"gen-{generation:06}.ckpt")
        deadline = time.monotonic() + 30
        while not os.path.exists(path):
            self.assertLess(time.monotonic(), deadline, f"{path} does not appear")
            time.sleep(0.02)


class Restart(case.Case):
    def prepare(self, guest="counter", **more):
        job = self.start(guest, **more)
        self.virtual_pid = job.virtual_pid
        job.checkpoint()
        return job

    def test_checkpoint_by_name_and_by_host_pids_in_a_namespace(self):
        job = self.start(name="inside")
        job.checkpoint("--stop")
        job.finish()
        job.restart("--pids", "namespace")
        program = job.wait_restarted()
        self.assertNotEqual(program, processes.inner_pid(program))
        for target in (program, job.popen.pid, "inside"):
            done = self.bench.ckpt(target)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("gen-000004.ckpt", done.stdout)
        self.finish_well(job)

    def test_by_job_name_takes_the_newest(self):
        job = self.prepare(name="named")
        job.checkpoint()
        job.kill()
        again = self.restarted("named")
        self.finish_well(again)

    def test_from_another_folder_with_stdin_closed(self):
        job = self.prepare("umask_and_cwd")
        job.kill()
        job.restart(cwd="/")
        job.wait_restarted()
        self.finish_well(job)

    def test_exit_status_of_a_finished_job_is_told(self):
        job = Job(self.bench, ["sh", "-c", "echo ready; read x; exit 5"], name="done",
                  stdin=subprocess.PIPE)
        job.start()
        job.wait_started()
        job.checkpoint()
        job.popen.stdin.write(b"x\n")
        job.popen.stdin.close()
        self.assertEqual(job.finish(), 5, job.report())
        done = self.bench.ckpt("restart", "done")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("finished", done.stderr + done.stdout)

    def copied(self, image):
        """The image elsewhere, while its job is not known here any more."""
        copy = os.path.join(self.bench.work, "copy.ckpt")
        shutil.copy2(image, copy)
        self.bench.give(copy)
        self.assertEqual(self.bench.ckpt("rm", "job").returncode, 0)
        return copy

    def test_refused_restart_of_an_image_leaves_no_job(self):
        folder = self.bench.make_folder("here")
        job = Job(self.bench, ["sh", "-c", f"cd {folder}; echo ready; sleep 60"])
        job.start()
        job.wait_started()
        job.checkpoint()
        job.kill()
        copy = self.copied(job.image)
        os.rmdir(folder)
        for options in ([], ["--hold"], ["--as", "clone"]):
            done = self.bench.ckpt("restart", copy, *options)
            self.assert_fails(done, 66, about=[folder])
            self.assertEqual(os.listdir(self.bench.state), [])
        if self.bench.am_root:
            of_root, jobs = (os.path.join(self.bench.folder, name) for name in ("its", "jobs"))
            shutil.copyfile(copy, of_root)
            os.chmod(of_root, 0o600)
            done = subprocess.run([self.bench.tool("ckpt"), "restart", of_root], text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False,
                                  env={**self.bench.environment, "CKRUN_DIR": jobs})
            self.assert_fails(done, 77, about=["you are user 0"])
            self.assertEqual(os.listdir(jobs), [])
        self.bench.make_folder("here")
        job.restart(image=copy)
        job.wait_restarted()
        self.assertEqual(os.listdir(self.bench.state), ["job"])
        job.kill()

    def test_limits_that_cannot_be_as_before_are_named(self):
        job = self.start()
        job.checkpoint()
        job.kill()
        self.release()
        done = self.bench.run(["prlimit", "--nofile=300:300", self.bench.tool("ckpt"), "restart",
                               job.name], env={**self.bench.environment, "GUEST_GO": self.go})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"process {job.virtual_pid}: the limit of open files is lower", done.stderr)

    def test_several_clones_of_one_image_at_once(self):
        job = self.prepare()
        job.kill()
        clones = [self.restarted(job.image, "--as", f"clone-{number}", "--pids", "namespace",
                                 name=f"clone-{number}") for number in range(3)]
        self.release()
        for clone in clones:
            self.assertEqual(clone.finish(), 0, clone.report())
            self.assertEqual(clone.output.lines(), ["ok"])

    def test_clone_beside_the_living_job(self):
        job = self.prepare()
        clone = self.restarted(job.image, "--as", "twin", "--pids", "namespace", name="twin")
        clone.checkpoint()
        self.assertIn("twin", clone.image)
        self.release()
        self.assertEqual(clone.finish(), 0, clone.report())
        self.assertEqual(job.finish(), 0, job.report())

    def test_living_job_is_not_restarted_again(self):
        job = self.prepare(name="alive")
        done = self.bench.ckpt("restart", "alive")
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertIn("alive", done.stderr)
        self.finish_well(job)

    def test_real_pids_as_root(self):
        if not self.bench.am_root:
            self.skipTest("--pids real needs root here")
        self.bench.user = 0
        job = self.prepare("process_ids")
        job.kill()
        job.restart("--pids", "real")
        job.wait_restarted()
        self.assertEqual(job.pid(), job.virtual_pid)
        self.finish_well(job)

    def test_real_pids_that_are_taken(self):
        if not self.bench.am_root:
            self.skipTest("--pids real needs root here")
        self.bench.user = 0
        job = self.prepare("process_ids")
        done = self.bench.ckpt("restart", "--pids", "real", "--as", "other", job.image)
        self.assertIn(done.returncode, (69, 75), done.stderr)
        self.assertIn(str(job.virtual_pid), done.stderr)
        self.finish_well(job)

    def test_auto_mode(self):
        job = self.prepare("process_ids")
        job.kill()
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_auto_mode_where_user_namespaces_are_forbidden(self):
        """In a user namespace that may have none below it; the job's pids stay those of the host."""
        job = self.prepare("process_ids")
        job.kill()
        job.restart_options = ["--pids", "virtual"]  # where the harness finds the program
        forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\""
        job.spawn(["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", forbid, "sh",
                   self.bench.tool("ckpt"), "restart", job.image])
        if job.popen.poll() is None and not job.errors.text:
            job.wait_restarted()
        if b"unshare" in job.errors.text:
            self.skipTest("no user namespaces here")
        self.finish_well(job)
        self.assertIn(b"ids are virtual", job.errors.text)

    def test_virtual_ids_and_a_robust_mutex(self):
        job = self.prepare("mutex_robust")
        job.kill()
        done = self.bench.ckpt("restart", "--pids", "virtual", job.image)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("holds a robust mutex", done.stderr)

    def test_virtual_ids_and_clocks(self):
        job = self.start()
        job.checkpoint()
        job.kill()
        self.release()
        done = self.bench.run([self.bench.tool("ckpt"), "restart", "--pids", "virtual", job.name],
                              env={**self.bench.environment, "GUEST_GO": self.go})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("it goes on with --pids namespace", done.stderr)

    def test_virtual_ids_and_a_static_program(self):
        program = os.path.join(case.BUILD, "tests", "guests", "refused_static")
        script = f"echo ready; while [ ! -e '{self.go}' ]; do sleep 0.02; done; {program}; echo $?"
        job = Job(self.bench, ["sh", "-c", script], restart_options=["--pids", "virtual"])
        job.start()
        job.wait_started()
        job.checkpoint()
        job.kill()
        job.restart()
        job.wait_restarted()
        with open(self.go, "w", encoding="ascii"):
            pass
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual(job.all_lines(), ["ready", "126"], job.report())
        self.assertIn(b"statically linked", job.errors.text)

    def test_exit_status_and_signals_pass_a_restart(self):
        job = self.prepare()
        job.kill()
        job.restart()
        job.wait_restarted()
        job.checkpoint()  # answered once the restart is complete
        job.popen.terminate()
        self.assertEqual(job.finish(), 128 + signal.SIGTERM, job.report())
        self.assertEqual(processes.leftovers(keep=[job.popen.pid]), [])

    def test_stop_after_restart(self):
        job = self.prepare()
        job.kill()
        job.restart()
        job.wait_restarted()
        job.checkpoint("--stop")
        self.assertEqual(job.finish(), 85, job.report())

    def test_appended_file_is_reported_or_rolled_back(self):
        path = os.path.join(self.bench.work, "log")
        script = (f"exec 5>>{path}; echo before >&5; echo ready; read x; echo after >&5; echo ok")
        job = Job(self.bench, ["bash", "-c", script], stdin=subprocess.PIPE)
        job.start()
        job.wait_started()
        job.checkpoint()
        job.kill()
        for options, expected in (((), "before\nlost\nafter\n"),
                                  (("--rollback-files",), "before\nafter\n")):
            with open(path, "w", encoding="ascii") as file:
                file.write("before\nlost\n")
            job.restart(*options)
            job.wait_restarted()
            job.popen.stdin.write(b"x\n")
            job.popen.stdin.close()
            self.assertEqual(job.finish(), 0, job.report())
            with open(path, encoding="ascii") as file:
                self.assertEqual(file.read(), expected)
            if not options:
                self.assertIn("log", "".join(job.errors.lines()))
            self.bench.ckpt("rm", "--help")
            finished = os.path.join(os.path.dirname(job.image), "finished")
            if os.path.exists(finished):
                os.unlink(finished)  # so that the same image can be restarted once more


class Print(case.Case):
    def test_ls_inspect_verify_rm(self):
        job = self.start(name="shown")
        image = job.checkpoint()
        job.checkpoint()
        self.assertIn("shown", self.bench.ckpt("ls").stdout)
        self.assertIn("counter", self.bench.ckpt("inspect", image).stdout)
        self.assertEqual(self.bench.ckpt("verify", image).returncode, 0)
        for arguments in (("ls", "--json"), ("inspect", "--json", image),
                          ("verify", "--json", image), ("check", "--json", job.pid())):
            done = self.bench.ckpt(*arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            json.loads(done.stdout)
        self.finish_well(job)
        done = self.bench.ckpt("rm", image)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(os.path.exists(image))
        done = self.bench.ckpt("rm", "shown")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("shown", self.bench.ckpt("ls").stdout)

    def test_json_of_bytes_that_are_no_text(self):
        folder = os.fsencode(self.bench.work) + b"/caf\xe9"
        os.mkdir(folder)
        self.bench.give(folder)
        program = "import os, time; f = open(os.fsencode(os.getcwd()) + b'/caf\\xe9/f', 'w');" \
                  "print('ready', flush=True); time.sleep(20)"
        job = Job(self.bench, ["/usr/bin/python3", "-c", program, b"a\xffb"], name="bytes")
        job.start()
        job.wait_started()
        image = job.checkpoint()
        for arguments in (("ls", "--json"), ("ls", "--json", "bytes"),
                          ("inspect", "--json", image)):
            done = subprocess.run([self.bench.tool("ckpt"), *arguments], capture_output=True,
                                  env=self.bench.environment, check=True, **self.bench.identity())
            self.assertIn("a\ufffdb", str(json.loads(done.stdout.decode("utf-8"))), arguments)
        self.assertIn("caf\ufffd/f", done.stdout.decode("utf-8"))
        with open(os.path.join(self.bench.state, "bytes", "job.json"), "rb") as file:
            self.assertIn(b"a\xffb", file.read())
        job.kill()

    def test_rm_refuses_a_running_job(self):
        job = self.start(name="running")
        job.checkpoint()
        self.assertNotEqual(self.bench.ckpt("rm", "running").returncode, 0)
        self.assertTrue(os.path.exists(job.image))
        self.finish_well(job)

    def test_version_and_help(self):
        for arguments in (("--help",), ("restart", "--help"), ("--version",)):
            self.assertEqual(self.bench.ckpt(*arguments).returncode, 0)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
