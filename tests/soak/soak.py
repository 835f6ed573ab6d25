#!/usr/bin/python3
"""Checkpoint, SIGKILL and restart at random instants (300 by default) of a mix of programs, of one
process and of many, from the first instruction of their start on. Guests check themselves at their end; real programs'
outputs must equal an undisturbed run's.

  soak.py --build DIR [--instants N] [--seed N] [--only NAME]
"""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "apps"))
import apps  # noqa: E402
from harness import processes  # noqa: E402
from harness.job import Bench, Job, Skipped  # noqa: E402

GUESTS = ("counter", "threads_condvar", "malloc_threads", "thread_churn", "signal_storm",
          "pipe_threads", "raw_syscalls", "exceptions", "rseq_section", "monotonic",
          "alarm_during_checkpoint", "timer_thread", "thread_local", "itimer_real",
          "short_children", "stack_growth",
          "accept_late", "children_churn", "cow_workers", "daemon", "descriptors_in_flight",
          "exec_chain", "fork_children", "fork_storm", "hundred_processes", "orphan",
          "pipes_between", "shared_futex", "shared_mutex", "shell_groups", "spawned_later",
          "spawned_programs", "subreaper_with_orphans", "sysv_sem", "threads_in_processes",
          "vfork_in_progress", "waits_in_progress", "workers_respawned", "zombies")
APPS = ("perl", "mawk", "node", "bash", "sqlite", "java", "go", "pipeline",
        "pipelines", "make", "pool", "subprocesses", "perl_forks", "mpich", "tclsh", "node_cluster",
        "redis", "database", "memcached", "nginx", "nginx_reuseport", "postgres")
INSTANTS_A_JOB = 8
LIMIT_SECONDS = 1400


class Soak:
    def __init__(self, build, chance, wanted):
        self.build, self.chance, self.wanted = build, chance, wanted
        self.done, self.number = 0, 0
        self.expected = {}  # of the apps, by name
        self.start = time.monotonic()

    def over(self):
        return self.done >= self.wanted or time.monotonic() - self.start > LIMIT_SECONDS - 40

    def disturb(self, job, longest, *options):
        """Random instants, one after the other, each the end of one life of the job."""
        for _ in range(INSTANTS_A_JOB):
            if self.over():
                return
            time.sleep(self.chance.choice((0, 0.002, 0.02, longest)) * self.chance.random())
            if not self.checkpoint(job, *options):
                return
            time.sleep(0.02 * self.chance.random())
            job.kill()
            finished = job.has_finished()
            job.restart()
            if finished:  # between checkpoint and kill: the restart tells its status
                return
            job.wait_restarted()
            self.done += 1

    def checkpoint(self, job, *options):
        """False if the program has come to its end before the checkpoint; how it ended, and what it
        has printed, is checked then."""
        try:
            job.checkpoint(*options)
        except AssertionError:
            time.sleep(1)
            if job.popen.poll() != 0:
                raise
            return False
        return True

    def guest(self, name, bench):
        go = os.path.join(bench.folder, "go")
        job = Job(bench, [os.path.join(bench.build, "tests", "guests", name)],
                  env={"GUEST_GO": go}, restart_options=["--pids", "namespace"])
        job.start()
        job.note_pid()
        self.disturb(job, 0.2)
        with open(go, "w", encoding="ascii"):
            pass
        status = job.finish()
        if status != 0 or job.output.lines()[-1:] != ["ok"]:
            raise AssertionError(f"status {status}\n{job.report()}")
        return job

    def app(self, name, bench):
        command, extra = apps.APPS[name](bench)
        if name not in self.expected:
            self.expected[name] = apps.undisturbed(bench, command, extra)[0]
        path = os.path.join(bench.work, "output")
        job = Job(bench, command, env=extra, stdout=path,
                  restart_options=["--pids", "namespace", "--rollback-files"])
        apps.start(name, job, path)
        # What it changed in files after a checkpoint would stay changed.
        changes_files = getattr(apps.APPS[name], "changes_files", False)
        self.disturb(job, 0.6, *(["--stop"] if changes_files else []))
        status = job.finish(120)
        with open(path, "rb") as file:
            output = file.read()
        if status != 0 or output != self.expected[name]:
            raise AssertionError(f"status {status}, output {output[-300:]!r}, expected "
                                 f"{self.expected[name][-300:]!r}\n{job.report()}")
        return job

    def one(self, name):
        bench = apps.bench_for(name, self.build) if name in APPS else Bench(self.build)
        before = self.done
        try:
            job = self.app(name, bench) if name in APPS else self.guest(name, bench)
            left = processes.leftovers(keep=[job.popen.pid])
            if left:
                raise AssertionError(f"processes left behind: {left}")
            print(f"{self.done:4} instants, {time.monotonic() - self.start:5.1f} s: {name}: "
                  f"{self.done - before} fine", flush=True)
        except Skipped as reason:
            print(f"SKIP: {name}: {reason}", flush=True)
        except AssertionError as failure:
            raise AssertionError(f"{name}, instant {self.done - before + 1} of its job: "
                                 f"{failure}") from None
        finally:
            bench.close()

    def run(self, names):
        while not self.over():
            self.one(self.chance.choice(names))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--instants", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only", choices=GUESTS + APPS)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    soak = Soak(options.build, random.Random(options.seed), options.instants)
    try:
        soak.run([options.only] if options.only else list(GUESTS + APPS))
    except AssertionError as failure:
        print(f"FAILED after {soak.done} instants: {failure}")
        return 1
    if soak.done < soak.wanted:
        print(f"FAILED: only {soak.done} of {soak.wanted} instants within {LIMIT_SECONDS} s")
        return 1
    print(f"passed: {soak.done} instants in {time.monotonic() - soak.start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
