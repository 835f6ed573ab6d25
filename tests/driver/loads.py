"""Tests in which hosts have loads that the test chooses: each ckd reads its own from a file."""
import json
import os

from moving import SETTINGS, Moving
from harness.job import USER_ID

# No host is silent here, however busy the machine is.
PATIENT = SETTINGS.replace('"20s"', '"2m"').replace('"1s"', '"20s"')
BALANCE = """
[balance]
enabled = {enabled}
period = "300ms"
load_file = "{file}"

[class.default]
minimum_stay = "{stay}"
{usual}

[metrics]
listen = "127.0.0.1:9381"

[class.still]
checkpointmode = 0

[class.night]
loadstop = 5.0
"""


class Loads(Moving):
    enabled = False
    stay = "100ms"
    usual = ""  # more of the default class

    def settings(self, host):
        self.set_load(host, 0.1)
        enabled = "true" if self.enabled else "false"
        return PATIENT + BALANCE.format(enabled=enabled, file=self.load_file(host), stay=self.stay,
                                           usual=self.usual)

    def load_file(self, host):
        return os.path.join(host.folder, "load")

    def set_load(self, host, load):
        """Of each processor."""
        path = self.load_file(host)
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(f"{load * os.cpu_count()}\n")
        os.rename(path + ".new", path)

    def rows(self, host, *arguments):
        done = host.ckpt(*arguments, "--json", user=USER_ID)
        return {row["job"]: row for row in json.loads(self.good(done))}

    def place_of(self, name):
        """The hosts where it runs."""
        return [host.name for host in self.every if self.state(host, name) == "running"]

    def start_busy(self, host, name, options=()):
        """A job of one task, which waits for release() as long as the test takes."""
        self.start(host, name, "sh", "-c",
                   'echo ready; while [ ! -e "$GUEST_GO" ]; do :; done; echo ok', options=options)
        self.until(lambda: "ready" in self.text(name), "the job runs")

    def metrics(self, host):
        fetch = ("import urllib.request as r; "
                 "print(r.urlopen('http://127.0.0.1:9381/metrics').read().decode())")
        return self.good(host.run("/usr/bin/python3", "-c", fetch)).splitlines()

    def job_class(self, host, name):
        rows = json.loads(self.good(host.ckpt("ls", "--json", user=USER_ID)))
        return {row["name"]: row["class"] for row in rows}[name]
