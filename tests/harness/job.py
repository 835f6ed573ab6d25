"""One job under ckrun: start it, checkpoint it, kill it, restart it, see how it ends."""
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from . import processes

# Generous bounds: they end a test that hangs, they are no measure of speed.
STEP_SECONDS = 60
OWN_NAMES = ("ckpt", "ckrun")  # of a process that is still being restored, and its helpers
USER_ID = 64321  # an ordinary user without a name, when the tests run as root


class Lines:
    """What a command writes to a pipe, gathered by a thread."""

    def __init__(self, stream):
        self.text = b""
        self.changed = threading.Condition()
        self.closed = False
        self.stream = stream
        self.thread = threading.Thread(target=self._gather, daemon=True)
        self.thread.start()

    def _gather(self):
        while True:
            part = os.read(self.stream.fileno(), 65536)
            with self.changed:
                self.text += part
                self.closed = not part
                self.changed.notify_all()
            if not part:
                return

    def wait_for(self, line, timeout=STEP_SECONDS):
        """True once the line has come; False if the stream ended or the time is over."""
        wanted, deadline = line.encode(), time.monotonic() + timeout
        with self.changed:
            while wanted not in self.text.split(b"\n")[:-1]:
                left = deadline - time.monotonic()
                if self.closed or left <= 0:
                    return False
                self.changed.wait(left)
        return True

    def lines(self):
        self.thread.join(5)
        with self.changed:
            return self.text.decode("utf-8", "replace").splitlines()


class Bench:
    """Where a test works: the commands under test, a user, a folder, the environment."""

    def __init__(self, build, as_root=False, user=None):
        self.build = os.path.abspath(build)
        self.am_root = os.geteuid() == 0
        self.user = os.geteuid() if as_root or not self.am_root else user or USER_ID
        base = os.environ.get("CKRUN_TEST_TMP", "/tmp")
        self.folder = tempfile.mkdtemp(prefix="ckrun-test-", dir=base)
        os.chmod(self.folder, 0o755)
        self.state = self.make_folder("state")
        self.work = self.make_folder("work")
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": self.work,
            "LANG": "C.UTF-8",
            "CKRUN_DIR": self.state,
            "TMPDIR": self.work,
            # In a job the agent is preloaded before the runtime of sanitized commands.
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }
        processes.become_subreaper()

    def make_folder(self, name):
        path = os.path.join(self.folder, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        self.give(path)
        return path

    def give(self, path):
        """Makes a path the test user's."""
        if self.am_root:
            os.chown(path, self.user, self.user)

    def identity(self):
        """Arguments of Popen for the user under which the job runs."""
        if self.am_root and self.user != 0:
            return {"user": self.user, "group": self.user, "extra_groups": []}
        return {}

    def tool(self, name):
        return os.path.join(self.build, "bin", name)

    def run(self, arguments, timeout=STEP_SECONDS, cwd=None, env=None, **more):
        """Runs a command to its end: a CompletedProcess with text output."""
        return subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=timeout, cwd=cwd or self.work,
                              env=env or self.environment, check=False, **self.identity(), **more)

    def ckpt(self, *arguments, **more):
        return self.run([self.tool("ckpt"), *map(str, arguments)], **more)

    def close(self):
        processes.end_all()
        if not os.environ.get("CKRUN_TEST_KEEP"):  # with images and cores, to be looked at
            shutil.rmtree(self.folder, ignore_errors=True)


class Job:
    def __init__(self, bench, command, name="job", options=(), stdin=subprocess.DEVNULL, env=None,
                 stdout=None, restart_options=()):
        self.bench, self.command, self.name = bench, command, name
        self.options, self.restart_options = list(options), list(restart_options)
        self.stdin, self.stdout_path, self.extra_env = stdin, stdout, env or {}
        self.popen = self.output = self.errors = None
        self.virtual_pid = 0
        self.outputs = []  # of all lives
        self.image = None

    def spawn(self, arguments, cwd=None, pass_fds=()):
        environment = {**self.bench.environment, **self.extra_env}
        if self.stdout_path:
            stdout = os.open(self.stdout_path, os.O_WRONLY | os.O_CREAT, 0o600)
            self.bench.give(self.stdout_path)
        else:
            stdout = subprocess.PIPE
        self.popen = subprocess.Popen(arguments, stdin=self.stdin, stdout=stdout,
                                      stderr=subprocess.PIPE, cwd=cwd or self.bench.work,
                                      env=environment, start_new_session=True,
                                      pass_fds=pass_fds, **self.bench.identity())
        if self.stdout_path:
            os.close(stdout)
        self.output = Lines(self.popen.stdout) if self.popen.stdout else None
        self.errors = Lines(self.popen.stderr)
        self.outputs.append(self.output)

    def start(self):
        self.spawn([self.bench.tool("ckrun"), "--name", self.name, *self.options, "--",
                     *self.command])

    def wait_started(self, timeout=STEP_SECONDS):
        """Waits for "ready", then notes the program's pid."""
        if not self.output.wait_for("ready", timeout):
            self.popen.poll()
            if self.output.lines()[-1:] and self.output.lines()[-1].startswith("SKIP: "):
                raise Skipped(self.output.lines()[-1][6:])
            raise AssertionError(f"the program did not get ready\n{self.report()}")
        self.note_pid()

    def note_pid(self, timeout=STEP_SECONDS):
        """The program is the supervisor's only child at first."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.popen.poll() is None:
            found = processes.children(self.popen.pid)
            if found and processes.status(found[0]).get("Name", "").strip() != "ckrun":
                self.virtual_pid = found[0]
                return
            time.sleep(0.005)
        raise AssertionError(f"no program under the supervisor\n{self.report()}")

    def pid(self):
        """The program's pid for us, or 0: after a restart it can differ from its own idea."""
        if "virtual" in self.restart_options and len(self.outputs) > 1:
            return next(iter(processes.children(self.popen.pid)), 0)
        for pid in processes.descendants(self.popen.pid):
            if processes.inner_pid(pid) == self.virtual_pid:
                return pid
        return 0

    def checkpoint(self, *options):
        done = self.bench.ckpt(*options, self.pid() or self.popen.pid)
        if done.returncode != 0:
            raise AssertionError(f"ckpt: exit {done.returncode}: {done.stderr.strip()}\n"
                                 f"{self.report()}")
        lines = done.stdout.splitlines()
        if len(lines) != 1 or not os.path.isfile(lines[0]):
            raise AssertionError(f"ckpt printed {done.stdout!r}, not the path of an image")
        self.image = lines[0]
        return self.image

    def kill(self):
        """SIGKILL for supervisor and program: as if the machine had gone."""
        processes.end_all([self.popen])

    def has_finished(self):
        """Whether the job's folder says that it has ended by itself."""
        return os.path.exists(os.path.join(self.bench.state, self.name, "finished"))

    def finishes_now(self):
        """Whether it has ended by itself, or is about to."""
        try:
            self.popen.wait(1)
        except subprocess.TimeoutExpired:
            return False
        return self.has_finished()

    def restart(self, *options, image=None, cwd=None, pass_fds=()):
        self.spawn([self.bench.tool("ckpt"), "restart", *self.restart_options, *options,
                     image or self.image], cwd, pass_fds)

    def wait_restarted(self, timeout=STEP_SECONDS):
        """Waits until the program is there again: its own pid and its own name."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.popen.poll() is not None:
                raise AssertionError(f"the restart ended\n{self.report()}")
            pid = self.pid()
            name = processes.status(pid).get("Name", "").strip() if pid else ""
            if name and not name.startswith(OWN_NAMES):
                return pid
            time.sleep(0.005)
        raise AssertionError(f"the restart did not bring the program back\n{self.report()}")

    def finish(self, timeout=STEP_SECONDS):
        """Waits for the supervisor's end; its exit status."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the job does not end\n{self.report()}") from None

    def all_lines(self):
        return [line for output in self.outputs if output for line in output.lines()]

    def report(self):
        """What one wants to know after a failure."""
        parts = [f"supervisor {self.popen.pid}, status {self.popen.poll()}"]
        if self.popen.poll() is not None:
            self.errors.thread.join(1)
        for pid in processes.descendants(self.popen.pid):
            fields = processes.status(pid)
            where = []
            for task in _listdir(f"/proc/{pid}/task"):
                where.append(f"{task}:{_text(f'/proc/{pid}/task/{task}/wchan')}"
                             f"/{_text(f'/proc/{pid}/task/{task}/syscall')[:60]}")
            parts.append(f"process {pid} (itself {processes.inner_pid(pid)})"
                         f" {fields.get('Name', '').strip()} {fields.get('State', '').strip()}"
                         f" {' '.join(where[:4])}")
        for output in self.outputs:
            if output:
                parts.append("stdout: " + repr(output.text[-600:].decode("utf-8", "replace")))
        parts.append("stderr: " + self.errors.text[-2000:].decode("utf-8", "replace").strip())
        return "\n".join(parts)


class Skipped(Exception):
    """This machine cannot run the test; says why."""


def _listdir(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "?"


def signal_name(code):
    return signal.Signals(code - 128).name if code > 128 else str(code)
