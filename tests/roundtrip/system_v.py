#!/usr/bin/python3
"""System V objects of a job that is restarted with --pids virtual where they cannot be had again:
they are gone, others have their ids and keys, others use them. And what the program does then with
the ids that it knows."""
import ctypes
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, namespaces  # noqa: E402

KEY = 0x56560001
FAMILIES = {"shm": "-m", "sem": "-s", "msg": "-q"}
PRIVATE, CREATE = 0, 0o1000
REMOVE, SET_VALUE, GET_VALUE = 0, 16, 12
NO_WAIT = 0o4000
IDS = re.compile(r"ipcrm ((?:-[msq] \d+ ?)+)")

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p


def succeeded(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def listed(family):
    """(id, key) of all objects of a family."""
    with open(f"/proc/sysvipc/{family}", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    return [(int(row[1]), int(row[0])) for row in rows]


def remove_all():
    for family, option in FAMILIES.items():
        for number, _ in listed(family):
            subprocess.run(["ipcrm", option, str(number)], check=True)


def name_next_id(family, number):
    with open(f"/proc/sys/kernel/{family}_next_id", "w", encoding="ascii") as file:
        file.write(str(number))


def make(family, key):
    if family == "shm":
        return succeeded(libc.shmget(key, 4096, CREATE | 0o600))
    if family == "sem":
        return succeeded(libc.semget(key, 1, CREATE | 0o600))
    return succeeded(libc.msgget(key, CREATE | 0o600))


class Ids(case.Case):
    """Each test is alone with its IPC namespace."""

    def setUp(self):
        if not os.environ.get("CK_OWN_NAMESPACES"):
            self.skipTest("needs root for an IPC namespace of its own")
        super().setUp()
        self.addCleanup(remove_all)
        self.environment = {"GUEST_GO": self.go, "GUEST_KEY": str(KEY)}

    def start_job(self, **environment):
        job = case.Job(self.bench, [self.guest("sysv_ids")],
                       env={**self.environment, **environment})
        job.start()
        job.wait_started()
        return job

    def image(self, job):
        """What the kernel has of the job at its checkpoint, which is its end."""
        job.checkpoint()
        before = {family: listed(family) for family in FAMILIES}
        job.kill()
        return before

    def restart(self, job, way="virtual"):
        job.restart_options = ["--pids", way]
        job.restart()
        job.wait_restarted()

    def finish(self, job):
        self.finish_well(job)
        return [line for line in job.errors.lines() if "System V" in line]

    def take_ids(self, before, keys=False):
        """Others get the ids of the objects that are gone."""
        for family, rows in before.items():
            for number, key in rows:
                name_next_id(family, number)
                self.assertEqual(make(family, key if keys else PRIVATE), number)

    def test_objects_are_gone(self):
        job = self.start_job()
        self.image(job)
        remove_all()
        self.restart(job)
        self.assertEqual(self.finish(job), [])
        self.assertEqual([listed(family) for family in FAMILIES], [[], [], []])

    def test_ids_belong_to_others(self):
        job = self.start_job()
        before = self.image(job)
        remove_all()
        self.take_ids(before)
        self.restart(job)
        self.assertEqual(self.finish(job), [])
        for family, rows in before.items():
            self.assertEqual([row[0] for row in listed(family)], [row[0] for row in rows])

    def test_ids_and_keys_belong_to_others(self):
        job = self.start_job(GUEST_KEYS_TAKEN="1")
        before = self.image(job)
        remove_all()
        self.take_ids(before, keys=True)
        for _ in range(2):  # from the second life on they are found by the kernel's ids
            self.restart(job)
            after = {family: listed(family) for family in FAMILIES}
            self.image(job)
            self.assertEqual({family: listed(family) for family in FAMILIES}, after)
        self.restart(job)
        self.assertEqual(self.finish(job), [])
        self.assertEqual({family: listed(family) for family in FAMILIES}, before)

    def test_new_objects_get_ids_that_the_program_knows(self):
        job = self.start_job()
        before = self.image(job)
        remove_all()
        for family in FAMILIES:  # so that no old id comes again by itself
            name_next_id(family, before[family][0][0] + 100000)
            make(family, PRIVATE)
        self.restart(job)
        for family, rows in before.items():
            name_next_id(family, rows[0][0])
        self.assertEqual(self.finish(job), [])

    def test_others_use_them(self):
        job = self.start_job(GUEST_KEYS_TAKEN="1")
        before = self.image(job)
        ids = {family: rows[0][0] for family, rows in before.items()}
        address = libc.shmat(ids["shm"], None, 0)
        self.assertNotEqual(address, ctypes.c_void_p(-1).value)
        theirs = ctypes.cast(address, ctypes.POINTER(ctypes.c_uint64))
        theirs[0] = 4242
        succeeded(libc.semctl(ids["sem"], 1, SET_VALUE, 5))
        message = ctypes.create_string_buffer(bytes([99] + [0] * 15))
        succeeded(libc.msgsnd(ids["msg"], message, 8, NO_WAIT))
        self.restart(job)
        self.image(job)
        self.restart(job)
        self.finish(job)
        self.assertEqual(theirs[0], 4242)
        self.assertEqual(libc.semctl(ids["sem"], 1, GET_VALUE, 0), 5)
        self.assertEqual(succeeded(libc.msgrcv(ids["msg"], message, 8, 99, NO_WAIT)), 8)
        self.assertEqual(libc.shmdt(ctypes.c_void_p(address)), 0)

    def test_a_warning_names_what_others_use(self):
        job = self.start_job(GUEST_KEYS_TAKEN="1")
        before = self.image(job)
        number = before["sem"][0][0]
        succeeded(libc.semctl(number, 1, SET_VALUE, 5))
        self.restart(job)
        lines = self.finish(job)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(f"System V semaphore set {number} (key 0x{KEY:08x})", lines[0])

    def test_in_a_namespace_afterwards(self):
        job = self.start_job()
        before = self.image(job)
        remove_all()
        self.take_ids(before)
        self.restart(job)
        self.image(job)
        self.restart(job, "namespace")
        left = {family: [row[0] for row in listed(family)] for family in FAMILIES}
        self.image(job)
        named = IDS.search("\n".join(job.errors.lines()))
        self.assertTrue(named, job.report())
        words = named[1].split()
        for family, option in FAMILIES.items():
            ours = [int(number) for flag, number in zip(words[::2], words[1::2]) if flag == option]
            others = [row[0] for row in before[family]]
            self.assertEqual(sorted(ours + others), sorted(left[family]))
            for number in ours:
                subprocess.run(["ipcrm", option, str(number)], check=True)
        self.restart(job)
        self.assertEqual(self.finish(job), [])

    def test_with_real_pids_afterwards(self):
        self.bench.user = 0
        job = self.start_job()
        before = self.image(job)
        remove_all()
        self.take_ids(before)
        self.restart(job)
        self.image(job)
        done = self.bench.ckpt("restart", "--pids", "real", job.image)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn("is left from the job's former life, with another id: ipcrm -q", done.stderr)
        remove_all()
        self.restart(job, "real")
        self.assertEqual({family: listed(family) for family in FAMILIES}, before)
        self.assertEqual(self.finish(job), [])

    def test_a_restart_that_fails_leaves_none(self):
        job = self.start_job()
        self.image(job)
        remove_all()
        os.rename(self.bench.work, self.bench.work + ".away")
        self.bench.make_folder("other")
        done = self.bench.ckpt("restart", "--pids", "virtual", job.image,
                               cwd=os.path.join(self.bench.folder, "other"))
        os.rename(self.bench.work + ".away", self.bench.work)
        self.assertIn("working directory", done.stderr)
        self.assertEqual([listed(family) for family in FAMILIES], [[], [], []])


if __name__ == "__main__":
    if "--list" not in sys.argv:
        namespaces.enter_own(True)
    sys.exit(case.main(__name__))
