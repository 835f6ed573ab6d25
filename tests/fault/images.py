#!/usr/bin/python3
"""Bad images: truncated, damaged, foreign, newer, readable by others. Each is one clear line and a
documented exit code, for restart, inspect and verify; never a crash, never a process left."""
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402

BAD_IMAGE, NOT_FOUND, PERMISSION = 65, 66, 77
COMMANDS = ("verify", "inspect", "restart")


class Image(case.Case):
    def setUp(self):
        super().setUp()
        job = self.start()
        self.image = job.checkpoint()
        self.virtual_pid = job.virtual_pid
        job.kill()
        with open(self.image, "rb") as file:
            self.bytes = file.read()
        seed = int(os.environ.get("CKRUN_TEST_SEED", random.randrange(1 << 30)))
        print(f"seed {seed}")
        self.random = random.Random(seed)

    def write(self, content, name="bad.ckpt", mode=0o600):
        path = os.path.join(self.bench.work, name)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
        self.bench.give(path)
        return path

    def refuse(self, path, *codes, about=(), commands=COMMANDS):
        for command in commands:
            with self.subTest(command=command, path=path):
                self.assert_fails(self.bench.ckpt(command, path), *codes, about=about)

    def refuse_or_run(self, path, number):
        """Damage in the kept content of a file that this host has unchanged does no harm."""
        self.release()
        done = self.bench.ckpt("restart", "--as", f"damaged-{number}", path)
        if done.returncode == 0:
            self.assertEqual(done.stdout, "ok\n", done.stderr)
        else:
            self.assert_fails(done, BAD_IMAGE)

    def still_good(self):
        job = self.restarted(self.image)
        self.finish_well(job)

    def test_truncated(self):
        size = len(self.bytes)
        for length in (0, 1, 63, 64, 65, 4096, size // 2, size - 64, size - 1):
            self.refuse(self.write(self.bytes[:length]), BAD_IMAGE, about=["bad.ckpt"])

    def test_longer(self):
        self.refuse(self.write(self.bytes + b"x"), BAD_IMAGE)
        self.refuse(self.write(self.bytes + bytes(4096)), BAD_IMAGE)

    def test_bits_flipped(self):
        for number in range(40):
            place = self.random.randrange(len(self.bytes))
            damaged = bytearray(self.bytes)
            damaged[place] ^= 1 << self.random.randrange(8)
            path = self.write(damaged)
            with self.subTest(place=place):
                self.assert_fails(self.bench.ckpt("verify", path), BAD_IMAGE)
                self.refuse_or_run(path, number)
                done = self.bench.ckpt("inspect", path)  # need not read the contents
                self.assertIn(done.returncode, (0, BAD_IMAGE), done.stderr)

    def test_pieces_overwritten(self):
        for number in range(20):
            length = self.random.randrange(1, 5000)
            place = self.random.randrange(len(self.bytes) - length)
            damaged = bytearray(self.bytes)
            damaged[place:place + length] = self.random.randbytes(length)
            path = self.write(damaged)
            with self.subTest(place=place, length=length):
                self.assert_fails(self.bench.ckpt("verify", path), BAD_IMAGE)
                self.refuse_or_run(path, number)

    def test_foreign(self):
        self.refuse(self.write(b"just some text\n" * 100), BAD_IMAGE, about=["bad.ckpt"])
        with open("/bin/true", "rb") as file:
            self.refuse(self.write(file.read()), BAD_IMAGE)
        self.refuse(self.write(self.random.randbytes(100000)), BAD_IMAGE)

    def test_newer_version(self):
        newer = bytearray(self.bytes)
        newer[8:12] = (int.from_bytes(newer[8:12], "little") + 1).to_bytes(4, "little")
        self.refuse(self.write(newer), BAD_IMAGE, about=["version"])

    def test_missing(self):
        self.refuse(os.path.join(self.bench.work, "none.ckpt"), NOT_FOUND, about=["none.ckpt"])
        self.refuse("no-such-job", NOT_FOUND, commands=["restart"])

    def test_folder_or_device_instead(self):
        for path in (self.bench.work + "/", "/dev/null"):
            self.refuse(path, BAD_IMAGE, NOT_FOUND)

    def test_others_could_have_written_it(self):
        for mode in (0o620, 0o602, 0o666):
            path = self.write(self.bytes, mode=mode)
            self.assert_fails(self.bench.ckpt("restart", path), PERMISSION, about=["bad.ckpt"])

    def test_of_another_owner(self):
        if not self.bench.am_root:
            self.skipTest("only root can give files away")
        path = self.write(self.bytes, mode=0o644)
        os.chown(path, 12345, 12345)
        self.assert_fails(self.bench.ckpt("restart", path), PERMISSION, about=["bad.ckpt"])

    def test_unreadable(self):
        if not self.bench.am_root and os.geteuid() == 0:
            self.skipTest("root reads everything")
        path = self.write(self.bytes, mode=0o000)
        self.refuse(path, PERMISSION, about=["bad.ckpt"])

    def test_copied_elsewhere_still_works(self):
        path = os.path.join(self.bench.work, "copy.ckpt")
        shutil.copy(self.image, path)
        os.chmod(path, 0o600)
        self.bench.give(path)
        self.image = path
        self.still_good()


if __name__ == "__main__":
    sys.exit(case.main(__name__))
