#!/usr/bin/python3
"""ckrun --on HOST: a job starts on another host, and its user's terminal is here."""
import json
import os
import signal
import subprocess
import sys
import termios

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from terminal import OnTerminal  # noqa: E402
from harness import case  # noqa: E402
from harness.job import STEP_SECONDS, USER_ID  # noqa: E402

USAGE, NOT_FOUND, REFUSED, STOPPED, CANNOT_EXECUTE, NO_PROGRAM = 64, 66, 69, 85, 126, 127
PYTHON = "/usr/bin/python3"


class On(OnTerminal):
    def run_in(self, folder, *command, **env):
        """On host a, in that folder: what enters its namespaces comes out in another one."""
        return self.run_on(self.a, "env", "-C", folder, *command, **env)

    def start_on(self, host, *command):
        """A job there, whose window is on host a."""
        return self.run_in(self.shared, self.bench.tool("ckrun"), "--on", host.name,
                           "--name", "trip", "--", *command)

    def start_keys_on(self, host):
        popen = self.start_on(host, PYTHON, self.keys)
        self.shows("[begun]")
        return popen

    def without_terminal(self, *arguments, folder="/"):
        command = ["env", "-C", folder, self.bench.tool("ckrun"), *arguments]
        return subprocess.run(self.a.command(command, USER_ID), env=self.a.environment(USER_ID),
                              text=True, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=2 * STEP_SECONDS, check=False)

    def rows(self, host):
        return {row["name"]: row
                for row in json.loads(self.good(host.ckpt("ls", "--json", user=USER_ID)))}


class Window(On):
    def test_moves_on(self):
        """The same window, on three hosts, the user's own at last."""
        popen = self.start_keys_on(self.b)
        self.assertEqual(self.state(self.b, "trip"), "running")
        self.assertEqual(self.state(self.a, "trip"), "absent")
        self.assertIn("trip", self.good(self.a.ckpt("ls", "--all-hosts", user=USER_ID)))
        self.screen.type("a")
        self.shows("<a1>")
        self.screen.resize(30, 100)
        self.shows("[size 30x100]")
        self.migrate(self.b, "trip", self.c)
        self.screen.type("b")
        self.shows("<b2>")
        self.screen.type("\x03")
        self.shows("[interrupted]")
        self.migrate(self.c, "trip", self.a)
        self.screen.type("c")
        self.shows("<c3>")
        self.screen.type("q")
        self.ends_with(popen, 7)

    def test_takes_along(self):
        """Working directory, umask, environment, and the terminal's modes and size; and what a
        program has shown that ends at once."""
        modes = termios.tcgetattr(self.screen.slave)
        modes[6][termios.VERASE] = b"\x08"
        modes[6][termios.VINTR] = b"\x0b"
        termios.tcsetattr(self.screen.slave, termios.TCSANOW, modes)
        self.screen.modes_before = self.screen.modes()
        self.screen.resize(31, 101)
        script = ('echo "in $PWD as $(umask) with $MARK at $HOME of $(hostname) by $1";'
                  'echo "window $(stty size)"; stty -a; exit 5')
        popen = self.run_in(
            self.shared, "sh", "-c", 'umask 027; exec "$@"', "sh", self.bench.tool("ckrun"),
            "--on", "b", "--name", "trip", "sh", "-c", script, "name", "a word; $MARK",
            MARK="a\nb = c", SSH_AUTH_SOCK="/here")
        self.ends_with(popen, 5)
        self.shows("-extproc")  # the last of what stty tells
        shown = self.screen.raw.replace(b"\r\n", b"\n").decode()
        self.assertIn(f"in {self.shared} as 0027 with a\nb = c at {self.b.home} of b "
                      "by a word; $MARK\n", shown)
        self.assertIn("window 31 101\n", shown)
        self.assertIn("erase = ^H", shown)
        self.assertIn("intr = ^K", shown)

    def test_environment_of_a_host(self):
        popen = self.run_on(self.a, self.bench.tool("ckrun"), "--on", "b", "sh", "-c", "env; echo end",
                            SSH_AUTH_SOCK="/here", DISPLAY=":0", CKRUN_DIR="/nowhere", KEPT="yes")
        self.ends_with(popen, 0)
        self.shows("end\r\n")
        variables = dict(line.split("=", 1) for line in self.screen.raw.decode().split("\r\n")
                         if "=" in line)
        self.assertEqual(variables["KEPT"], "yes")
        self.assertEqual(variables["TERM"], "xterm-256color")
        self.assertEqual(variables["XDG_RUNTIME_DIR"], self.b.home)
        for name in ("SSH_AUTH_SOCK", "DISPLAY", "CKRUN_DIR"):
            self.assertNotIn(name, variables)

    def test_checkpoint_and_stop(self):
        popen = self.start_keys_on(self.b)
        popen.send_signal(signal.SIGUSR2)
        self.until(lambda: self.rows(self.b)["trip"]["images"], "there is an image")
        self.good(self.b.ckpt("--stop", "trip", user=USER_ID))
        self.ends_with(popen, STOPPED)

    def test_signal_ends_it(self):
        popen = self.start_keys_on(self.b)
        popen.send_signal(signal.SIGTERM)
        self.ends_with(popen, 128 + signal.SIGTERM)

    def test_ends_while_the_link_is_cut(self):
        go = self.go
        popen = self.start_on(self.b, "sh", "-c",
                              f"echo begun; while [ ! -e {go} ]; do sleep 0.05; done; exit 9")
        self.shows("begun")
        self.b.link("down")
        self.release()
        self.ends(self.b, "trip")
        self.b.link("up")
        self.ends_with(popen, 9)

    def test_detach(self):
        popen = self.start_keys_on(self.b)
        self.good(self.b.ckpt("detach", "trip", user=USER_ID))
        self.ends_with(popen, 0)
        popen = self.run_on(self.b, self.bench.tool("ckpt"), "attach", "trip")
        self.shows("[size")
        self.screen.type("q")
        self.ends_with(popen, 7)

    def test_on_this_host(self):
        popen = self.start_keys_on(self.a)
        self.assertEqual(self.state(self.a, "trip"), "running")
        self.screen.type("q")
        self.ends_with(popen, 7)


class Refused(On):
    def says_no(self, *arguments, codes, about, folder="/"):
        done = self.without_terminal("--pty", *arguments, folder=folder)
        self.fails(done, codes, about=about)

    def test_before_the_start(self):
        self.says_no("--on", "nohost", "true", codes=NOT_FOUND, about=["nohost", "ckpt hosts"])
        self.says_no("--on", "b", "nosuchprogram", codes=NO_PROGRAM,
                     about=["host b", "nosuchprogram"])
        self.says_no("--on", "b", "/etc/passwd", codes=CANNOT_EXECUTE, about=["host b", "passwd"])
        self.says_no("--on", "b", "--dir", "/tmp/x", "true", codes=USAGE, about=["--dir"])
        self.says_no("--on", "-b", "true", codes=USAGE, about=["host"])
        self.assertEqual(self.rows(self.b), {})

    def test_no_such_folder(self):
        folder = os.path.join(self.shared, "here", "below")
        os.makedirs(folder)
        self.b.hide(os.path.dirname(folder))
        self.says_no("--on", "b", "true", codes=NOT_FOUND, about=["host b", folder], folder=folder)

    def test_name_is_taken(self):
        popen = self.start_keys_on(self.b)
        self.says_no("--on", "b", "--name", "trip", "true", codes=REFUSED, about=["host b", "trip"])
        self.screen.type("q")
        self.ends_with(popen, 7)

    def test_drained(self):
        self.good(self.b.ckpt("drain", "b"))
        self.says_no("--on", "b", "true", codes=REFUSED, about=["host b", "drained"])

    def test_no_daemon(self):
        self.b.kill()
        done = self.without_terminal("--pty", "--on", "b", "true")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.a.kill()
        self.says_no("--on", "b", "true", codes=NOT_FOUND, about=["ckd"])

    def test_too_much(self):
        words = ["x" * 100000] * 6
        self.says_no("--on", "b", "true", *words, codes=REFUSED, about=["524288"])

    def test_without_a_terminal(self):
        done = self.without_terminal("--on", "b", "true")
        self.fails(done, REFUSED, about=["--pty", "ssh b"])
        done = self.without_terminal("--pty", "--on", "b", "sh", "-c", "echo hello; cat; exit 4")
        self.assertEqual((done.returncode, done.stdout.splitlines()), (4, ["hello"]), done.stderr)


class ByRoot(On):
    """The daemons are root's, for all users."""
    user = 0

    def test_as_the_user(self):
        popen = self.start_on(self.b, "sh", "-c", "id -u; echo at $HOME; exit 3")
        self.ends_with(popen, 3)
        self.shows(f"{USER_ID}\r\nat {self.b.home}\r\n")

    def test_nobody_there(self):
        self.b.forget_user()
        done = self.without_terminal("--pty", "--on", "b", "true")
        self.fails(done, NOT_FOUND, about=["host b", "no user ann"])


if __name__ == "__main__":
    sys.exit(case.main(__name__))
