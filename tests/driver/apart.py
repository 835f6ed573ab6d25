"""Hosts that share no files but the programs and the jobs' own folder of state."""
import json
import os
import subprocess

from moving import Moving
from harness.job import USER_ID

# Gates tell where a script is, so that it moves in the middle of its work and no sooner.
GATES = """
mkfifo pipe; exec 9<> pipe
nap() { read -t 0.02 -u 9; }
gate() {
  : > at.$1
  until [ -e go.$1 ]; do nap; done
}
"""


class Apart(Moving):
    """`work` is at the same path on all hosts, and is another folder on each."""

    def setUp(self):
        super().setUp()
        self.top = self.bench.make_folder("apart")
        for host in self.every:
            self.hide(host, self.top)
        self.work = os.path.join(self.top, "work")
        self.on(self.a, "mkdir", self.work)

    def hide(self, host, folder, options="mode=755"):
        host.hide(folder, options + f",uid={USER_ID},gid={USER_ID}")

    def on(self, host, *command, user=USER_ID, **more):
        return self.good(host.run(*command, user=user, **more))

    def put(self, host, name, text, user=USER_ID):
        self.on(host, "sh", "-c", 'mkdir -p "${1%/*}" && cat > "$1"', "sh", self.path(name),
                input=text, user=user)

    def path(self, name):
        return os.path.join(self.work, name)

    def content(self, host, name):
        return self.on(host, "cat", self.path(name))

    def there(self, host, name):
        return host.run("test", "-e", self.path(name), user=USER_ID).returncode == 0

    def all_names(self, host, folder=None):
        """All below the folder."""
        found = self.on(host, "sh", "-c", 'cd "$1" && find . -mindepth 1 | sort', "sh",
                        folder or self.top)
        return found.split()

    def start_there(self, host, *command, name="trip"):
        """In that folder, its output in files there."""
        script = 'cd "$1" && shift && exec "$@" > out 2> err'
        process = subprocess.Popen(
            host.command(["sh", "-c", script, "sh", self.work, self.bench.tool("ckrun"), "--name",
                          name, *command], USER_ID),
            cwd="/", stdin=subprocess.DEVNULL, env=host.environment(USER_ID))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def start_script(self, host, script, name="trip"):
        return self.start_there(host, "bash", "-c", GATES + script, name=name)

    def start_counter(self, host):
        """A guest that goes on as soon as there is a file `go`."""
        process = self.start_there(host, "env", "GUEST_GO=" + self.path("go"),
                                   self.guest("counter"))
        self.until(lambda: self.there(host, "out") and "ready" in self.content(host, "out"),
                   "the guest is ready")
        return process

    def ship(self, source, target, *options, name="trip"):
        done = source.ckpt("migrate", "--json", "--files", "ship", *options, name, target.name,
                           user=USER_ID)
        self.assertEqual(done.returncode, 0, done.stderr + self.logs())
        return json.loads(done.stdout)

    def not_shipped(self, source, target, *codes, about, options=("--files", "ship")):
        """Before the pause: there is no image of it. Nothing is left at the target."""
        before, images = self.all_names(target), self.rows(source)
        self.fails(source.ckpt("migrate", *options, "trip", target.name, user=USER_ID), *codes,
                   about=about)
        self.until(lambda: self.all_names(target) == before, "nothing is left there")
        self.assertEqual(self.rows(source), images)
        self.assertNotIn("freeze", "".join(
            line for line in source.log.text.decode().splitlines() if "step begins" in line))

    def rows(self, host):
        rows = json.loads(self.good(host.ckpt("ls", "--json", user=USER_ID)))
        return [(row["state"], row["images"]) for row in rows]

    def ends_there(self, host, files=("go",)):
        for name in files:
            self.put(host, name, "")
        self.ends(host, "trip")
        self.assertEqual(self.content(host, "out").splitlines()[-1:], ["ok"],
                         self.content(host, "out") + self.content(host, "err"))
