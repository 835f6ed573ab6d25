#!/usr/bin/python3
"""A process outside of the job waits for room in a full message queue of it: a checkpoint that takes
messages out would let it in, and could not put all back."""
import ctypes
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
SENDER = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
queue = libc.mq_open(sys.argv[1].encode(), os.O_WRONLY)
print("waits", flush=True)
libc.mq_send(queue, b"outside", ctypes.c_size_t(7), 0)
"""


class FullQueue(case.Case):
    def receive_all(self, queue):
        buffer, texts = ctypes.create_string_buffer(64), []
        while True:
            length = LIBC.mq_receive(queue, buffer, ctypes.c_size_t(64), None)
            if length < 0:
                return texts
            texts.append(buffer.raw[:length].decode())

    def start_full(self):
        job = self.start("posix_mq_full")
        name = f"/ckrun-guest-full-{job.pid()}".encode()
        self.addCleanup(LIBC.mq_unlink, name)
        return job, name

    def expect_all(self, name):
        """What waits for room comes in when there is some."""
        reader = LIBC.mq_open(name, os.O_RDONLY | os.O_NONBLOCK)
        texts, deadline = [], time.monotonic() + 10
        while len(texts) < 10 and time.monotonic() < deadline:
            texts += self.receive_all(reader)
            time.sleep(0.01)
        self.assertEqual(texts[:8], [f"message {i}" for i in range(8)])
        self.assertEqual(sorted(texts[8:]), ["message 8", "outside"])

    def test_sender_of_the_same_user_is_waited_for(self):
        job, name = self.start_full()
        sender = subprocess.Popen([sys.executable, "-c", SENDER, name.decode()],
                                  stdout=subprocess.PIPE, **self.bench.identity())
        self.addCleanup(sender.wait)
        self.addCleanup(sender.kill)
        sender.stdout.readline()
        done = self.bench.ckpt("--timeout", "1", job.name)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertIn("is full", done.stderr)
        self.expect_all(name)

    def test_message_of_an_unseen_sender_is_kept(self):
        job, name = self.start_full()
        queue = LIBC.mq_open(name, os.O_RDWR)
        sender = threading.Thread(target=LIBC.mq_send,
                                  args=(queue, b"outside", ctypes.c_size_t(7), 0))
        sender.start()
        job.checkpoint()
        self.expect_all(name)
        sender.join()


if __name__ == "__main__":
    sys.exit(case.main(__name__))
