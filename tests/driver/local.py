#!/usr/bin/python3
"""One ckd by itself, without a cluster: socket, signals, metrics, and what ckpt says without it."""
import json
import os
import signal
import socket
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402
from harness.hosts import Log  # noqa: E402

USAGE, NOT_FOUND, REFUSED, TRY_AGAIN, PERMISSION = 64, 66, 69, 75, 77


def listening_ports(pid):
    """TCP ports at which a process listens."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        link = os.readlink(f"/proc/{pid}/fd/{fd}")
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    ports = []
    for name in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{name}", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                words = line.split()
                if words[3] == "0A" and words[9] in inodes:
                    ports.append(int(words[1].split(":")[1], 16))
    return ports


class OneDaemon(case.Case):
    def setUp(self):
        super().setUp()
        self.bench.environment["XDG_RUNTIME_DIR"] = self.bench.make_folder("runtime")
        self.config = os.path.join(self.bench.work, ".config", "ckrun")
        self.socket = os.path.join(self.bench.folder, "runtime", "ckrun", "ckd.sock")

    def ckd(self, *arguments, **more):
        return self.bench.run([self.bench.tool("ckd"), *arguments], **more)

    def start(self, *options):
        daemon = subprocess.Popen([self.bench.tool("ckd"), *options], cwd=self.bench.work,
                                  env=self.bench.environment, stdin=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, **self.bench.identity())
        self.addCleanup(daemon.stderr.close)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        daemon.log = Log(daemon.stderr)
        daemon.log.wait_for("info ready ")
        return daemon

    def write_settings(self, text):
        os.makedirs(self.config, exist_ok=True)
        path = os.path.join(self.config, "ckd.toml")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o600)
        for folder in (path, self.config, os.path.dirname(self.config)):
            self.bench.give(folder)

    def free_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def http(self, port, request):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer.decode()

    def start_job(self):
        return super().start()


class Alone(OneDaemon):
    def test_without_a_cluster_no_port_is_open(self):
        daemon = self.start()
        self.assertEqual(listening_ports(daemon.pid), [])
        rows = json.loads(self.bench.ckpt("hosts", "--json").stdout)
        self.assertEqual([(row["name"], row["state"]) for row in rows],
                         [(socket.gethostname(), "up")])
        self.assertEqual(rows[0]["processors"], os.cpu_count())
        self.assertIn("sse2", rows[0]["cpu_features"])
        table = self.bench.ckpt("hosts").stdout.splitlines()
        self.assertEqual(len(table), 2)
        self.assertTrue(table[0].startswith("HOST"))

    def test_without_ckd_one_line_says_so(self):
        self.assert_fails(self.bench.ckpt("hosts"), NOT_FOUND, about=["no ckd", "start ckd"])
        self.assert_fails(self.bench.ckpt("ls", "--all-hosts"), NOT_FOUND, about=["start ckd"])

    def test_what_wants_a_cluster_says_that_there_is_none(self):
        self.start()
        name = socket.gethostname()
        for command in ([self.bench.tool("ckpt"), "drain", name],
                        [self.bench.tool("ckpt"), "migrate", "--auto"],
                        [self.bench.tool("ckpt"), "migrate", "job", "other"],
                        [self.bench.tool("ckrun"), "--on", "other", "--pty", "true"],
                        [self.bench.tool("ckd"), "invite"]):
            done = self.bench.run(command)
            self.assertEqual(done.returncode, NOT_FOUND, done.stderr)
            self.assertIn("this host belongs to no cluster (ckd init makes one", done.stderr)

    def test_its_jobs_are_counted_and_listed_and_outlive_it(self):
        daemon = self.start()
        job = self.start_job()
        rows = json.loads(self.bench.ckpt("hosts", "--json").stdout)
        self.assertGreaterEqual(rows[0]["jobs"], 1)
        jobs = json.loads(self.bench.ckpt("ls", "--all-hosts", "--json").stdout)
        self.assertEqual([(row["name"], row["state"], row["supervisor"]) for row in jobs],
                         [("job", "running", job.popen.pid)])
        daemon.terminate()
        self.assertEqual(daemon.wait(20), 0)
        self.assertIsNone(job.popen.poll())
        self.finish_well(job)

    def test_sigterm_ends_it_cleanly(self):
        daemon = self.start()
        self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o600)
        daemon.terminate()
        self.assertEqual(daemon.wait(20), 0)
        self.assertFalse(os.path.exists(self.socket))
        self.assertRegex(daemon.log.lines()[-1], "info stopping signal=15")

    def test_after_a_kill_the_next_one_takes_over(self):
        first = self.start()
        self.assert_running_twice_is_refused()
        first.kill()
        first.wait(20)
        self.start()
        self.assertEqual(self.bench.ckpt("hosts").returncode, 0)

    def assert_running_twice_is_refused(self):
        done = self.ckd()
        self.assertEqual(done.returncode, TRY_AGAIN, done.stderr)
        self.assertIn("runs already", done.stderr)

    def test_mistakes_in_the_settings_are_named(self):
        self.write_settings("[limits]\nconections = 1\n")
        self.assert_fails(self.ckd(), USAGE, about=["ckd.toml, line 2", "conections"])
        self.write_settings("[metrics]\nlisten = \"0.0.0.0:9381\"\n")
        self.assert_fails(self.ckd(), USAGE, about=["0.0.0.0", "local address"])

    def test_a_bad_reload_changes_nothing(self):
        daemon = self.start()
        self.write_settings("[limits]\nidle = 7\n")
        daemon.send_signal(signal.SIGHUP)
        daemon.log.wait_for("warning reload failed reason=.*line 2")
        self.assertEqual(self.bench.ckpt("hosts").returncode, 0)
        self.write_settings("[limits]\nidle = \"7s\"\n")
        daemon.send_signal(signal.SIGHUP)
        daemon.log.wait_for("info reloaded peers=0")

    def test_metrics_and_health(self):
        port = self.free_port()
        self.write_settings(f"[metrics]\nlisten = \"127.0.0.1:{port}\"\n")
        daemon = self.start()
        self.assertEqual(listening_ports(daemon.pid), [port])
        text = self.http(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(text.startswith("HTTP/1.1 200 OK\r\n"), text)
        for name in ("ckd_jobs", "ckd_load1", "ckd_memory_free_bytes", "ckd_peers 0"):
            self.assertIn(name, text)
        health = self.http(port, b"GET /healthz HTTP/1.1\r\n\r\n")
        self.assertTrue(health.startswith("HTTP/1.1 200 OK\r\n") and health.endswith("\r\nok\n"))
        self.assertIn(" 404 ", self.http(port, b"GET /etc/passwd HTTP/1.1\r\n\r\n"))
        with self.assertRaises(ConnectionError):  # too long: cut off
            self.http(port, b"x" * 5000)

    def test_another_users_daemon_is_not_believed(self):
        if not self.bench.am_root:
            self.skipTest("a second user needs root")
        folder = os.path.dirname(self.socket)
        os.makedirs(folder)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        child = os.fork()
        if child == 0:
            listener.bind(self.socket)
            os.chmod(self.socket, 0o666)
            os.setuid(self.bench.user + 1)
            listener.listen()  # SO_PEERCRED shows who does this
            os.set_inheritable(listener.fileno(), True)
            os.execvp("sleep", ["sleep", "60"])
        self.addCleanup(os.waitpid, child, 0)
        self.addCleanup(os.kill, child, signal.SIGKILL)
        while not os.path.exists(self.socket) or not self.listens(self.socket):
            os.sched_yield()
        os.chmod(os.path.dirname(folder), 0o755)
        os.chmod(folder, 0o755)
        done = self.bench.ckpt("hosts")
        self.assertEqual(done.returncode, PERMISSION, done.stderr)
        self.assertIn(f"user {self.bench.user + 1}", done.stderr)

    def listens(self, path):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(path) == 0

    def test_damaged_requests_are_answered_with_a_refusal_or_cut_off(self):
        self.start()
        for frame in (b"\x02\0\0\0\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff",
                      b"\x02\0\0\0\x08\x09"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(20)
                connection.connect(self.socket)
                connection.sendall(frame)
                self.assertNotEqual(connection.recv(4096), b"")  # a refusal
        self.assertEqual(self.bench.ckpt("hosts").returncode, 0)


class Top(OneDaemon):
    """ckpt top on a terminal, which is afterwards as it was."""
    LEFT = b"\x1b[?25h\x1b[?1049l"  # the cursor and the other screen are back

    def setUp(self):
        super().setUp()
        try:
            from harness.screen import Screen
        except ImportError:
            self.skipTest("python3-pyte is not installed")
        self.daemon = self.start()
        self.screen = Screen(self.bench)
        self.addCleanup(self.screen.close)
        self.popen = self.screen.run([self.bench.tool("ckpt"), "top", "--interval", "200ms"])
        self.addCleanup(self.popen.wait)
        self.addCleanup(self.popen.kill)
        self.screen.wait_for("q: quit")

    def left(self):
        self.screen.wait_until(lambda _: self.screen.raw.endswith(self.LEFT), "end of the view")
        self.assertTrue(self.screen.is_as_before())

    def test_it_lives_and_q_ends_it(self):
        self.assertIn("LATENCY", self.screen.text())
        job = self.start_job()
        self.screen.wait_for("1 job of yours")
        self.screen.resize(6, 30)
        self.screen.wait_until(lambda text: len(text.splitlines()) == 6
                               and text.endswith("q: quit"), "a smaller view")
        self.screen.type("xq")
        self.assertEqual(self.popen.wait(20), 0)
        self.left()
        self.daemon.terminate()
        self.daemon.wait(20)
        self.finish_well(job)

    def test_a_signal_ends_it(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if self.popen.poll() is not None:
                self.popen = self.screen.run([self.bench.tool("ckpt"), "top"])
                self.screen.wait_for("LATENCY")
            self.popen.send_signal(number)
            self.assertEqual(self.popen.wait(20), -number)
            self.left()

    def test_it_can_be_stopped_and_continued(self):
        self.popen.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED | os.WNOWAIT)
        self.left()
        before = len(self.screen.raw)
        self.popen.send_signal(signal.SIGCONT)
        self.screen.wait_until(lambda _: b"LATENCY" in self.screen.raw[before:], "a new view")
        self.screen.type("q")
        self.assertEqual(self.popen.wait(20), 0)
        self.left()

    def test_without_its_ckd_it_says_so_and_goes_on(self):
        self.daemon.terminate()
        self.daemon.wait(20)
        self.screen.wait_for("no ckd runs on this host")
        self.start()
        self.screen.wait_for("q: quit")
        self.screen.type("q")
        self.assertEqual(self.popen.wait(20), 0)
        self.left()


if __name__ == "__main__":
    sys.exit(case.main(__name__))
