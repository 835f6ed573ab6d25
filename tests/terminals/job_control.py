#!/usr/bin/python3
"""The user's side of a job on a terminal: ^C, ^Z, fg and bg from shells, detach and attach, the
user's own modes, windows of other sizes, terminals that go away."""
import hashlib
import os
import signal
import subprocess
import sys
import termios
import threading
import time
import tty

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402
from harness.job import STEP_SECONDS  # noqa: E402

LFLAG = 3

# Reads keys in raw mode, tells of each, and of the window's size; ^Z stops it, as it does vi.
KEYS = """
import os, signal, sys, termios, tty
before = termios.tcgetattr(0)
def size(*_):
    columns, lines = os.get_terminal_size(0)
    os.write(1, b"size %dx%d\\r\\n" % (lines, columns))
signal.signal(signal.SIGWINCH, size)
def begin():
    tty.setraw(0)
    os.write(1, b"raw\\r\\n")
begin()
while True:
    key = os.read(0, 1)
    if key == b"q" or not key:
        break
    if key == b"\\x1a":
        termios.tcsetattr(0, termios.TCSANOW, before)
        os.kill(0, signal.SIGTSTP)
        begin()
    elif key == b"s":
        size()
    else:
        os.write(1, b"key " + key + b"\\r\\n")
termios.tcsetattr(0, termios.TCSANOW, before)
sys.exit(3)
"""


def is_raw(modes):
    return not modes[LFLAG] & termios.ICANON


def is_cooked(modes):
    return bool(modes[LFLAG] & termios.ICANON)


class OnTerminal(case.Case):
    def setUp(self):
        super().setUp()
        try:
            from harness.screen import Screen
        except ImportError:
            self.skipTest("python3-pyte is not installed")
        self.make_screen = Screen
        self.screens = []
        self.keys_path = os.path.join(self.bench.work, "keys.py")
        with open(self.keys_path, "w", encoding="ascii") as file:
            file.write(KEYS)
        self.bench.give(self.keys_path)
        self.keys = ["/usr/bin/python3", self.keys_path]

    def screen(self, *size):
        made = self.make_screen(self.bench, *size)
        self.addCleanup(made.close)
        return made

    def ckrun(self, screen, *options, command=None, **more):
        return screen.run([self.bench.tool("ckrun"), "--name", "job", *options, "--",
                           *(command or self.keys)], **more)

    def restart(self, screen, *options, **more):
        return screen.run([self.bench.tool("ckpt"), "restart", *options, "job"], **more)

    def checkpoint(self, *options):
        done = self.bench.ckpt(*options, "job")
        self.assertEqual(done.returncode, 0, done.stderr)

    def shell(self, screen, *command):
        screen.run(list(command) or ["bash", "--norc", "--noprofile", "-i"],
                   env={"PS1": "prompt> ", "PATH": os.path.join(self.bench.build, "bin")
                        + ":/usr/bin:/bin"})
        screen.wait_for("prompt>")
        screen.type("bind 'set enable-bracketed-paste off'; clear\r" if not command else "clear\r")
        screen.wait_quiet()

    def supervisor(self):
        with open(os.path.join(self.bench.state, "job", "incarnation"), encoding="utf-8") as file:
            import json
            return json.load(file)

    def wait_for_keeper(self, popen):
        """Until the job, which no screen tells of, runs."""
        deadline = time.monotonic() + STEP_SECONDS
        while True:
            try:
                now = self.supervisor()
                if now.get("keeper") and not now["ended"]:
                    return
            except FileNotFoundError:
                pass
            if popen.poll() is not None:
                with open(os.path.join(self.bench.work, "log"), encoding="utf-8") as file:
                    self.fail(f"exit status {popen.returncode}: {file.read()}")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def wait_for_file(self, name, size=0):
        path = os.path.join(self.bench.work, name)
        deadline = time.monotonic() + STEP_SECONDS
        while not os.path.exists(path) or os.path.getsize(path) < size:
            self.assertLess(time.monotonic(), deadline, name)
            time.sleep(0.01)
        return path

    def wait_prompt(self, screen):
        screen.wait_until(lambda text: text.rstrip().endswith("prompt>"), "prompt")

    # --- ^C, ^Z, fg, bg

    def job_control(self, start, options):
        screen = self.screen()
        self.shell(screen)
        screen.type(start + "\r")
        screen.wait_for("raw")
        screen.type("a")
        screen.wait_for("key a")
        screen.type("\x1a")
        screen.wait_for("Stopped")
        self.wait_prompt(screen)
        screen.type("clear; jobs\r")
        screen.wait_until(lambda text: text.startswith("[1]+"), "the list of jobs")
        screen.type("fg\r")
        screen.wait_for("raw")
        screen.type("b")
        screen.wait_for("key b")
        screen.type("\x03")  # in raw mode a key like others
        screen.wait_for("key \x03".rstrip("\x03"))
        screen.type("q")
        self.wait_prompt(screen)
        screen.type("echo status $?; stty -a | grep -c ' echo '\r")
        screen.wait_for("status 3\n1")

    def test_stop_and_continue_from_bash(self):
        self.job_control(f"ckrun --name job /usr/bin/python3 {self.keys_path}", ())

    def test_stop_and_continue_without_a_terminal_of_its_own(self):
        self.job_control(f"ckrun --no-pty --name job /usr/bin/python3 {self.keys_path}", ())

    def test_stop_and_continue_from_sh(self):
        self.job_control(f"sh -c 'ckrun --name job /usr/bin/python3 {self.keys_path}; exit $?'", ())

    def stop_after_restart(self, pids, *options):
        first = self.screen()
        self.ckrun(first, *options)
        first.wait_for("raw")
        self.checkpoint("--stop")
        screen = self.screen()
        self.shell(screen)
        screen.type(f"ckpt restart --pids {pids} job\r")
        screen.wait_modes(is_raw)
        screen.wait_quiet()
        screen.type("a")
        screen.wait_for("key a")
        screen.type("\x1a")
        screen.wait_for("Stopped")
        if not options:  # else its supervisor is stopped too, and wakes for the checkpoint
            self.checkpoint()
        self.wait_prompt(screen)
        screen.type("clear; fg\r")
        screen.wait_for("raw")
        screen.type("b")
        screen.wait_for("key b")
        screen.type("q")
        self.wait_prompt(screen)
        screen.type("echo status $?; stty -a | grep -c ' echo '\r")
        screen.wait_for("status 3\n1")

    def test_stop_and_continue_after_a_restart(self):
        self.stop_after_restart("namespace")

    def test_stop_and_continue_after_a_restart_on_the_terminal_itself(self):
        self.stop_after_restart("namespace", "--no-pty")

    def test_stopped_program_goes_on_at_restart(self):
        screen = self.screen()
        self.shell(screen)
        screen.type(f"ckrun --name job /usr/bin/python3 {self.keys_path}\r")
        screen.wait_for("raw")
        screen.type("\x1a")
        screen.wait_for("Stopped")
        self.checkpoint("--stop")
        second = self.screen()
        popen = self.restart(second)
        second.wait_for("raw")
        second.type("c")
        second.wait_for("key c")
        second.type("q")
        self.assertEqual(popen.wait(STEP_SECONDS), 3)

    def test_interrupt(self):
        screen = self.screen()
        popen = self.ckrun(screen, command=["sleep", "1000"])
        screen.wait_modes(is_raw)
        screen.type("\x03")
        self.assertEqual(popen.wait(STEP_SECONDS), -signal.SIGINT)
        self.assertTrue(screen.is_as_before())

    def test_interrupt_ends_scripts(self):
        """Shells go on with a script unless the command that was interrupted has died of it."""
        screen = self.screen()
        self.shell(screen)
        # Each run has a word of its own, so that none waits for what is still on the screen.
        words = iter("abcdefgh")
        for key, number in (("\x03", 130), ("\x1c", 131)):
            for options in ("", "--no-pty "):
                word = next(words)
                screen.type(f"clear; ckrun {options}sh -c 'echo begun-''{word}; exec sleep 1000'\r")
                screen.wait_for("begun-" + word)
                screen.type(key)
                self.wait_prompt(screen)
                screen.type(f"echo status-{word} $?\r")
                screen.wait_for(f"status-{word} {number}")
        for script in ("for i in 1 2; do ckrun sh -c 'echo begun-''WORD; exec sleep 1000'; done",
                       "sh -c 'ckrun sh -c \"echo begun\\-WORD; exec sleep 1000\"; echo went on'",
                       "bash -c 'ckrun sh -c \"echo begun\\-WORD; exec sleep 1000\"; echo went on'"):
            word = next(words)
            screen.type("clear; " + script.replace("WORD", word) + "\r")
            screen.wait_for("begun-" + word)
            screen.type("\x03")
            self.wait_prompt(screen)
            self.assertNotIn("\nwent on", screen.text())
        screen.type("exit\r")

    # --- typed ahead

    READER = """
import hashlib, os, select, subprocess, sys, time
subprocess.run(["stty", *sys.argv[2:]], check=True)
os.write(1, b"raw\\r\\n")
while not os.path.exists("go"):
    time.sleep(0.01)
wanted, typed = int(sys.argv[1]), b""
while len(typed) < wanted:
    typed += os.read(0, 997)
os.write(1, b"got %s\\r\\n" % hashlib.md5(typed).hexdigest().encode())
select.select([0], [], [])
"""

    def reader(self, size):
        """What is typed, and a program that reads it once it is told to; its command line."""
        path = os.path.join(self.bench.work, "reader.py")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.READER)
        self.bench.give(path)
        data = b"".join(b"%09d\n" % i for i in range(size // 10))
        return data, ["/usr/bin/python3", path, str(size), "-echo"]

    def reads(self, screen, data):
        with open(os.path.join(self.bench.work, "go"), "w", encoding="ascii"):
            pass
        screen.wait_for("got " + hashlib.md5(data).hexdigest())

    def typed_ahead(self, size, *modes):
        """No byte is lost that is typed while checkpoints are taken and the program does not read."""
        data, command = self.reader(size)
        screen = self.screen()
        self.ckrun(screen, command=[*command, *modes])
        screen.wait_for("raw")
        threading.Thread(target=screen.type, args=(data,), daemon=True).start()
        for _ in range(5):
            self.checkpoint()
        self.reads(screen, data)

    def test_typed_ahead(self):
        self.typed_ahead(20000, "raw")

    def test_much_typed_ahead(self):
        self.typed_ahead(100000, "raw")

    def test_lines_typed_ahead(self):
        self.typed_ahead(100000)

    def typed_for_cat(self, screen):
        """What came to cat until it had all that was typed: a mark tells so."""
        path, mark = self.wait_for_file("rest"), b"<end>"
        screen.type(mark)
        deadline = time.monotonic() + STEP_SECONDS
        while True:
            with open(path, "rb") as file:
                rest = file.read()
            if rest.endswith(mark):
                return rest[:-len(mark)]
            self.assertLess(time.monotonic(), deadline, rest[-20:])
            time.sleep(0.01)

    def typed_ahead_of_a_stop(self, size):
        """What ckrun has read is the job's; what it has not, whoever reads the terminal next gets."""
        data, command = self.reader(size)
        screen = self.screen()
        popen = screen.run(["sh", "-c", '"$0" --name job -- "$@"; stty raw -echo; exec cat >rest',
                            self.bench.tool("ckrun"), *command, "raw"])
        screen.wait_for("raw")
        typist = threading.Thread(target=screen.type, args=(data,), daemon=True)
        typist.start()
        self.checkpoint("--stop")
        typist.join()
        rest = self.typed_for_cat(screen)
        popen.terminate()
        popen.wait(STEP_SECONDS)
        self.assertTrue(data.endswith(rest))
        screen = self.screen()
        self.restart(screen)
        screen.wait_modes(is_raw)
        self.checkpoint()
        typist = threading.Thread(target=screen.type, args=(rest,), daemon=True)
        typist.start()
        self.reads(screen, data)
        typist.join()

    def test_typed_ahead_of_a_stop(self):
        self.typed_ahead_of_a_stop(20000)

    def test_much_typed_ahead_of_a_stop(self):
        self.typed_ahead_of_a_stop(100000)

    def stopped_in_background(self, screen):
        """The shell tells so when it is asked."""
        def told(_):
            screen.type("clear; jobs\r")
            screen.wait_quiet()
            return "Stopped" in screen.text()
        screen.wait_until(told, "a stopped job")

    def test_background(self):
        """A program that changes the terminal's modes is stopped; fg gives it the terminal."""
        screen = self.screen()
        self.shell(screen)
        screen.type(f"ckrun --name job /usr/bin/python3 {self.keys_path} &\r")
        screen.wait_for("raw")
        screen.type("\r")
        screen.type("echo typed at the shell\r")
        screen.wait_for("\ntyped at the shell")
        self.stopped_in_background(screen)
        screen.type("clear; fg\r")
        screen.wait_for("size")  # it is asked to draw
        screen.type("d")
        screen.wait_for("key d")
        screen.type("q")
        self.wait_prompt(screen)

    def test_background_read(self):
        """As without ckrun: a program that reads is stopped, each time, until it is in front."""
        screen = self.screen()
        self.shell(screen)
        screen.type("ckrun --name job sh -c 'cat; exit 4' &\r")
        self.stopped_in_background(screen)
        screen.type("clear; bg\r")
        screen.wait_quiet()
        self.stopped_in_background(screen)
        screen.type("clear; fg\r")
        screen.wait_modes(is_raw)
        screen.type("one line\r")
        screen.wait_for("one line\none line")
        screen.type("\x04")
        self.wait_prompt(screen)
        screen.type("echo status $?\r")
        screen.wait_for("status 4")

    def test_background_goes_on(self):
        """A program that only writes is not stopped."""
        screen = self.screen()
        self.shell(screen)
        screen.type("ckrun --name job sh -c 'sleep 2; echo all do''ne' &\r")
        screen.wait_for("all done")

    # --- the window

    def test_smaller_window(self):
        first = self.screen(30, 100)
        self.ckrun(first)
        first.wait_for("raw")
        first.type("s")
        first.wait_for("size 30x100")
        self.checkpoint("--stop")
        second = self.screen(12, 40)
        popen = self.restart(second)
        second.wait_for("size 12x40")
        second.resize(15, 50)
        os.kill(popen.pid, signal.SIGWINCH)
        second.wait_for("size 15x50")
        second.type("q")
        self.assertEqual(popen.wait(STEP_SECONDS), 3)

    def test_redraw_by_winch_alone(self):
        first = self.screen()
        self.ckrun(first)
        first.wait_for("raw")
        self.checkpoint("--stop")
        second = self.screen()
        self.restart(second, "--redraw", "winch")
        second.wait_for("size 24x80")
        self.assertEqual(second.text().count("size"), 1)

    def test_no_redraw(self):
        first = self.screen()
        self.ckrun(first)
        first.wait_for("raw")
        self.checkpoint("--stop")
        second = self.screen()
        self.restart(second, "--redraw", "none")
        second.wait_modes(is_raw)
        second.type("e")
        second.wait_for("key e")
        self.assertNotIn("size", second.text())

    def test_other_terminal_type_is_told(self):
        first = self.screen()
        self.ckrun(first)
        first.wait_for("raw")
        self.checkpoint("--stop")
        second = self.make_screen(self.bench, 24, 200, "vt100")
        self.addCleanup(second.close)
        self.restart(second)
        second.wait_for("terminal of type xterm-256color, this one is vt100")

    # --- detach and attach

    def test_detach_and_attach(self):
        first = self.screen()
        popen = self.ckrun(first)
        first.wait_for("raw")
        done = self.bench.ckpt("detach", "job")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(popen.wait(STEP_SECONDS), 0)
        self.assertTrue(first.is_as_before())
        first.wait_for("detached from job job")
        self.checkpoint()
        done = self.bench.ckpt("detach", "job")
        self.assertEqual(done.stdout, "nobody was attached\n")
        second = self.screen(20, 60)
        attached = second.run([self.bench.tool("ckpt"), "attach", "job"])
        second.wait_for("size 20x60")
        second.type("f")
        second.wait_for("key f")
        third = self.screen()
        taken = third.run([self.bench.tool("ckpt"), "attach", "job"])
        self.assertEqual(attached.wait(STEP_SECONDS), 0)
        second.wait_for("gone to another terminal")
        self.assertTrue(second.is_as_before())
        third.wait_for("size 24x80")
        third.type("q")
        self.assertEqual(taken.wait(STEP_SECONDS), 3)
        self.assertTrue(third.is_as_before())

    def test_attach_inside_of_the_job_itself(self):
        screen = self.screen()
        popen = self.ckrun(screen, command=["sh", "-c", self.bench.tool("ckpt") + " attach job; "
                                            "echo status $?; exec sleep 1000"])
        screen.wait_for("status 69")
        self.assertIn("inside of job job itself", screen.text().replace("\n", ""))
        screen.type("\x03")
        self.assertEqual(popen.wait(STEP_SECONDS), -signal.SIGINT)

    def test_job_without_a_terminal_cannot_be_attached(self):
        self.start()
        self.assert_refused(self.bench.ckpt("attach", "job"), 69, "no terminal of its own")
        self.release()

    def assert_refused(self, done, code, words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(words, done.stderr)

    def test_detached_program_that_writes_much_does_not_hang(self):
        first = self.screen()
        command = ["/usr/bin/python3", "-c",
                   "import os,time\nfor i in range(300): os.write(1, b'x' * 10000)\n"
                   "open('done', 'w').close()\ntime.sleep(1000)"]
        self.ckrun(first, command=command)
        first.wait_modes(is_raw)
        self.assertEqual(self.bench.ckpt("detach", "job").returncode, 0)
        deadline = time.monotonic() + STEP_SECONDS
        while not os.path.exists(os.path.join(self.bench.work, "done")):
            self.assertLess(time.monotonic(), deadline, "the program hangs")
            time.sleep(0.02)

    # --- deaths

    def test_supervisor_is_killed(self):
        screen = self.screen()
        popen = self.ckrun(screen)
        screen.wait_for("raw")
        os.kill(self.supervisor()["pid"], signal.SIGKILL)
        screen.wait_for("the supervisor has died")
        screen.type("g")
        screen.wait_for("key g")
        self.checkpoint()  # starts another
        screen.type("h")
        screen.wait_for("key h")
        screen.type("q")
        self.assertEqual(popen.wait(STEP_SECONDS), 3)
        self.assertTrue(screen.is_as_before())

    def test_client_is_killed(self):
        """The user's terminal is as before, and the job can be attached."""
        screen = self.screen()
        popen = self.ckrun(screen)
        screen.wait_for("raw")
        self.assertTrue(is_raw(screen.modes()))
        popen.kill()
        popen.wait()
        screen.wait_modes(lambda modes: modes == screen.modes_before)
        second = self.screen()
        attached = second.run([self.bench.tool("ckpt"), "attach", "job"])
        second.wait_for("size 24x80")
        second.type("q")
        self.assertEqual(attached.wait(STEP_SECONDS), 3)

    def test_program_is_killed(self):
        for options in ((), ("--no-pty",)):
            with self.subTest(options):
                screen = self.screen()
                popen = self.ckrun(screen, *options)
                screen.wait_for("raw")
                os.kill(self.supervisor()["root_pid"], signal.SIGKILL)
                self.assertEqual(popen.wait(STEP_SECONDS), 137)
                self.assertTrue(screen.is_as_before(), screen.modes())
                self.bench.ckpt("rm", "--force", "job")

    def test_terminal_hangs_up(self):
        """The job goes on, detached."""
        screen = self.screen()
        popen = self.ckrun(screen)
        screen.wait_for("raw")
        screen.close()
        self.assertEqual(popen.wait(STEP_SECONDS), 129)
        second = self.screen()
        attached = second.run([self.bench.tool("ckpt"), "attach", "job"])
        second.wait_for("size 24x80")
        second.type("q")
        self.assertEqual(attached.wait(STEP_SECONDS), 3)

    # --- restarts without a terminal

    def test_restart_without_a_terminal(self):
        first = self.screen()
        self.ckrun(first)
        first.wait_for("raw")
        self.checkpoint("--stop")
        log = os.path.join(self.bench.work, "log")
        with open(log, "wb") as output:
            popen = self.screen_less_restart(output)
            self.wait_for_keeper(popen)
        second = self.screen()
        attached = second.run([self.bench.tool("ckpt"), "attach", "job"])
        second.wait_for("size 24x80")
        second.type("q")
        self.assertEqual(attached.wait(STEP_SECONDS), 3)
        self.assertEqual(popen.wait(STEP_SECONDS), 0)  # told to leave

    def screen_less_restart(self, output):
        return subprocess.Popen([self.bench.tool("ckpt"), "restart", "job"],
                                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                cwd=self.bench.work, env=self.bench.environment,
                                start_new_session=True, **self.bench.identity())

    def test_closed_standard_streams(self):
        """What ckrun and ckpt open then must not get their numbers."""
        command = [self.bench.tool("ckrun"), "--name", "job", "--pty", "--", "/usr/bin/python3", "-c",
                   "import os,tty\ntty.setraw(0)\nopen('begun', 'w').close()\nwhile True:\n"
                   "  key = os.read(0, 4096)\n  open('typed', 'ab').write(key)\n"
                   "  if key.endswith(b'q'): break"]
        for closed in ("<&- >>log 2>&1", "<&- >&- 2>>log", "</dev/null >&- 2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed):
                self.typed_with_closed(command, closed)
                self.checkpoint("--stop")
                self.typed_with_closed([self.bench.tool("ckpt"), "restart", "job"], closed, b"q")
                self.assertEqual(self.bench.ckpt("rm", "job").returncode, 0)
                os.unlink(os.path.join(self.bench.work, "begun"))

    def typed_with_closed(self, command, closed, last=b""):
        import shlex
        popen = subprocess.Popen(["sh", "-c", "exec " + shlex.join(command) + " " + closed],
                                 cwd=self.bench.work, env=self.bench.environment,
                                 start_new_session=True, **self.bench.identity())
        self.wait_for_keeper(popen)
        self.wait_for_file("begun")
        screen = self.screen()
        attached = screen.run([self.bench.tool("ckpt"), "attach", "job"])
        screen.wait_modes(is_raw)
        wanted = b"f" + last
        screen.type(wanted)
        path = self.wait_for_file("typed", len(wanted))
        with open(path, "rb") as file:
            self.assertEqual(file.read(), wanted)
        os.unlink(path)
        if last:
            self.assertEqual(attached.wait(STEP_SECONDS), 0)

    def test_restart_of_a_shared_terminal_to_several_streams(self):
        """Descriptors 0 to 2 were one open file; the restart has one for each."""
        command = ["/usr/bin/python3", "-c",
                   "import os,time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
                   "os.write(1, b'output\\n')\nos.write(2, b'error\\n')\n"
                   "os.write(1, b'%d\\n' % len(os.read(0, 5)))"]
        screen = self.screen()
        self.ckrun(screen, "--no-pty", command=["sh", "-c", "echo begun; exec \"$@\"", "sh", *command])
        screen.wait_for("begun")
        self.checkpoint("--stop")
        with open(os.path.join(self.bench.work, "go"), "w", encoding="ascii"):
            pass
        done = self.bench.ckpt("restart", "job")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "output\n0\n")
        self.assertEqual(done.stderr, "error\n")

    def test_slow_terminal_gets_all(self):
        """The end of the output, long after the program's."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        self.bench.give(os.ttyname(slave))
        tty.setraw(slave)
        popen = subprocess.Popen([self.bench.tool("ckrun"), "--name", "job", "--", "/usr/bin/python3",
                                  "-c", "for i in range(4000): print(i)"], stdin=slave, stdout=slave,
                                 stderr=slave, cwd=self.bench.work, env=self.bench.environment,
                                 start_new_session=True, **self.bench.identity())
        os.close(slave)
        finished = os.path.join(self.bench.state, "job", "finished")
        deadline = time.monotonic() + STEP_SECONDS
        while not os.path.exists(finished):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        time.sleep(1.5)  # how slow it is
        text = b""
        while True:
            try:
                text += os.read(master, 65536)
            except OSError:  # the last one has closed it
                break
        self.assertEqual(popen.wait(STEP_SECONDS), 0)
        self.assertEqual(text.split(), [b"%d" % i for i in range(4000)])

    def test_output_comes_whole(self):
        """A pipe as standard output, and a terminal asked for."""
        done = self.bench.run([self.bench.tool("ckrun"), "--pty", "--", "/usr/bin/python3", "-c",
                               "for i in range(20000): print(i)"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.split(), [str(i) for i in range(20000)])


if __name__ == "__main__":
    sys.exit(case.main(__name__))
