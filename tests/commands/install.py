#!/usr/bin/python3
"""What `cmake --install` puts where, under the prefix that it is told then."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402

# Of what systemd-analyze unit-paths lists, below a prefix such as ~/.local, /usr/local or /usr.
USER_UNIT = "share/systemd/user/ckd.service"
SYSTEM_UNIT = "lib/systemd/system/ckd.service"


class Install(case.Case):
    def install(self, prefix, destdir=""):
        done = subprocess.run(["cmake", "--install", self.bench.build, "--prefix", prefix],
                              env={**os.environ, "DESTDIR": destdir}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return destdir + prefix

    def assert_units_start(self, where, ckd):
        for unit in (USER_UNIT, SYSTEM_UNIT):
            with open(os.path.join(where, unit), encoding="utf-8") as file:
                lines = file.read().splitlines()
            self.assertIn(f"ExecStart={ckd}", lines, unit)
            self.assertNotIn("@", "".join(lines), unit)

    def test_units_start_what_was_installed(self):
        home = os.path.join(self.bench.folder, "home", ".local")
        self.assert_units_start(self.install(home), os.path.join(home, "bin", "ckd"))
        done = self.bench.run([os.path.join(home, "bin", "ckrun"), "true"])
        self.assertEqual(done.returncode, 0, done.stderr)
        package = self.install("/usr", destdir=os.path.join(self.bench.folder, "package"))
        self.assert_units_start(package, "/usr/bin/ckd")


if __name__ == "__main__":
    sys.exit(case.main(__name__))
