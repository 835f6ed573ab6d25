#!/usr/bin/python3
"""Real programs: each is run once undisturbed, and once under ckrun with checkpoints, SIGKILL and
restarts at random instants. The outputs must be equal.

  apps.py --build DIR --app NAME [--rounds N] [--seed N] [--pids namespace|virtual|real]
  apps.py --list
"""
import argparse
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import namespaces, processes  # noqa: E402
from harness.job import Bench, Job, Skipped  # noqa: E402
from servers import SERVERS  # noqa: E402
from trees import TREES, need, source  # noqa: E402

LIMIT_SECONDS = 200


def big_file(bench, megabytes):
    """Text-like lines in a random order, always the same."""
    path = os.path.join(bench.work, "big")
    numbers = random.Random(1)
    with open(path, "w", encoding="ascii") as file:
        for _ in range(megabytes):
            file.write("".join(f"{numbers.randrange(1 << 40):012x} item {numbers.randrange(999)}\n"
                               for _ in range(45000)))
    bench.give(path)
    return path


def pipeline(bench):
    return [os.path.join(bench.build, "tests", "apps", "pipeline"), "900000"], {}


def jemalloc(bench):
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"):
        library = os.path.join(folder, "libjemalloc.so.2")
        if os.path.exists(library):
            return [*pipeline(bench)[0]], {"LD_PRELOAD": library}
    raise Skipped("libjemalloc2 is not installed")


def numpy(_):
    python = need("python3")
    if subprocess.run([python, "-c", "import numpy"], stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        raise Skipped("numpy is not installed")
    return [python, source("numpy_job.py"), "4"], {}


def perl(_):
    return [need("perl"), source("words.pl"), "900"], {}


def gawk(_):
    return [need("gawk"), "-v", "rounds=450000", "-f", source("sieve.awk")], {}


def mawk(_):
    return [need("mawk"), "-v", "rounds=1200000", "-f", source("sieve.awk")], {}


def node(_):
    return [need("node"), source("timers.js"), "250"], {}


def java(bench):
    javac = need("javac")
    done = bench.run([javac, "-d", bench.work, source("Threads.java")])
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [need("java"), "-Xmx256m", "-cp", bench.work, "Threads", "4000000"], {}


def go(bench):
    compiler = need("go")
    program = os.path.join(bench.work, "cgo")
    done = bench.run([compiler, "build", "-o", program, source("cgo.go")], timeout=LIMIT_SECONDS,
                     env={**bench.environment, "CGO_ENABLED": "1", "GOFLAGS": "-mod=mod",
                          "GOPATH": bench.make_folder("go"), "GOCACHE": bench.make_folder("cache")})
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [program, "220000"], {}


def bash(_):
    return [need("bash"), source("builtins.sh"), "200000"], {}


def sqlite(_):
    return [need("sqlite3"), "-batch", ":memory:", f".read {source('query.sql')}"], {}


def xz(bench):
    return [need("xz"), "-T2", "-6", "-c", big_file(bench, 3)], {}


def zstd(bench):
    return [need("zstd"), "-T2", "-14", "-q", "-c", big_file(bench, 8)], {}


def gzip(bench):
    return [need("gzip"), "-9", "-n", "-c", big_file(bench, 9)], {}


def sort(bench):
    return [need("sort"), "-S", "500M", "--parallel=2", big_file(bench, 40)], {"LC_ALL": "C.UTF-8"}


def fio(_):
    return [need("bash", "fio"), source("fio_job.sh"), "24"], {}


APPS = {app.__name__: app for app in (pipeline, jemalloc, numpy, perl, gawk, mawk, node, java, go,
                                      bash, sqlite, xz, zstd, gzip, sort, fio, *TREES, *SERVERS)}


def bench_for(name, build, pids="namespace"):
    """As the user that the program wants."""
    user = getattr(APPS[name], "user", None)
    if pids == "real" and (os.geteuid() != 0 or user):
        raise Skipped("--pids real needs root here" if not user else "the program refuses root")
    if pids == "real":
        return Bench(build, as_root=True)
    return Bench(build, user=user and user())


def undisturbed(bench, command, extra):
    """What the program prints, its status and how long it takes."""
    start = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          cwd=bench.work, env={**bench.environment, **extra},
                          **bench.identity()) as popen:
        output = popen.communicate(timeout=LIMIT_SECONDS)[0]
    return output, popen.returncode, time.monotonic() - start


def start(name, job, path):
    """Until it may be disturbed."""
    job.start()
    job.note_pid()
    deadline = time.monotonic() + LIMIT_SECONDS
    while getattr(APPS[name], "after_first_output", False) and os.path.getsize(path) == 0:
        if time.monotonic() > deadline:
            raise AssertionError("nothing is printed")
        time.sleep(0.01)


def disturbed(bench, name, command, extra, instants, pids):
    """The same under ckrun, killed and restarted at these times of its own running time."""
    changes_files = getattr(APPS[name], "changes_files", False)
    path = os.path.join(bench.work, "output")
    job = Job(bench, command, env=extra, stdout=path,
              restart_options=["--pids", pids, "--rollback-files"])
    start(name, job, path)
    passed = 0.0
    for instant in instants:
        time.sleep(instant - passed)
        passed = instant
        if job.has_finished():  # faster than the undisturbed run, which met a busier machine
            break
        try:
            job.checkpoint(*(["--stop"] if changes_files else []))
        except AssertionError:
            if not job.finishes_now():
                raise
            break
        if not changes_files:
            time.sleep(0.1)
        job.kill()
        finished = job.has_finished()
        job.restart()
        if finished:  # between checkpoint and kill: the restart tells its status
            break
        job.wait_restarted()
    status = job.finish(LIMIT_SECONDS)
    left = processes.leftovers(keep=[job.popen.pid])
    if left:
        raise AssertionError(f"processes left behind: {left}")
    with open(path, "rb") as file:
        return file.read(), status, job


def check(bench, name, rounds, chance, pids):
    command, extra = APPS[name](bench)
    expected, status, duration = undisturbed(bench, command, extra)
    if status != 0:
        raise AssertionError(f"{command} ends with {status} without ckrun")
    # In the first part of its time: the program goes on while it is checkpointed, and the undisturbed
    # run may have met a busier machine.
    instants = sorted(chance.uniform(0, 0.35 * duration) for _ in range(rounds))
    print(f"{name}: {duration:.2f} s undisturbed, instants "
          + ", ".join(f"{instant:.3f}" for instant in instants), flush=True)
    output, status, job = disturbed(bench, name, command, extra, instants, pids)
    if status != 0 or output != expected:
        raise AssertionError(f"status {status}; {len(output)} bytes, expected {len(expected)}:\n"
                             f"{output[-300:]!r}\nexpected\n{expected[-300:]!r}\n{job.report()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build")
    parser.add_argument("--app", choices=list(APPS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--pids", default="namespace", choices=["namespace", "virtual", "real"])
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(APPS))
        return 0
    if options.pids == "real":
        namespaces.enter_own(True)
    print(f"seed {options.seed}")
    bench = None
    try:
        bench = bench_for(options.app, options.build, options.pids)
        check(bench, options.app, options.rounds, random.Random(options.seed), options.pids)
    except Skipped as reason:
        print(f"SKIP: {reason}")
        return 77
    except AssertionError as failure:
        print(f"FAILED: {options.app}: {failure}")
        return 1
    finally:
        if bench:
            bench.close()
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
