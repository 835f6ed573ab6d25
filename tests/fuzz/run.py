#!/usr/bin/python3
"""Runs a fuzzer for a while on its corpus: run.py --fuzzers DIR --name NAME [--seconds N]

The corpus is not changed; what makes the fuzzer fail is printed in base64, and stays in the folder
that is named."""
import argparse
import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def add_own_vdso(folder):
    """A kernel's code is not kept in the tree; this host's is at hand."""
    with open("/proc/self/maps", encoding="ascii") as maps:
        found = re.search(r"^(\w+)-(\w+) .*\[vdso\]$", maps.read(), re.MULTILINE)
    begin, end = (int(word, 16) for word in found.groups())
    with open("/proc/self/mem", "rb") as memory, open(os.path.join(folder, "own"), "wb") as seed:
        memory.seek(begin)
        seed.write(memory.read(end - begin))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuzzers", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    fuzzer = os.path.join(os.path.abspath(options.fuzzers), "fuzz_" + options.name)
    if not os.path.exists(fuzzer):
        print("SKIP: the fuzzers are not built (cmake --preset fuzz && cmake --build --preset fuzz)")
        return 77
    folder = tempfile.mkdtemp(prefix="ckrun-fuzz-")
    found = os.path.join(folder, "found")
    corpus = os.path.join(folder, "corpus")
    os.mkdir(found)
    os.mkdir(corpus)
    seeds = os.path.join(HERE, "corpus", options.name)
    if os.path.isdir(seeds):
        shutil.copytree(seeds, corpus, dirs_exist_ok=True)
    if options.name == "vdso":
        add_own_vdso(corpus)
    done = subprocess.run([fuzzer, f"-max_total_time={options.seconds}", "-rss_limit_mb=2048",
                           "-timeout=20", "-print_final_stats=1", f"-artifact_prefix={found}/",
                           corpus], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=options.seconds + 300, check=False)
    runs = re.search(r"stat::number_of_executed_units: (\d+)", done.stdout)
    if done.returncode == 0 and runs and int(runs.group(1)) > 0:
        print(f"{options.name}: {runs.group(1)} inputs in {options.seconds} s, none failed")
        shutil.rmtree(folder)
        return 0
    print(done.stdout[-20000:])
    for name in os.listdir(found):
        with open(os.path.join(found, name), "rb") as file:
            print(f"{os.path.join(found, name)}: {base64.b64encode(file.read()).decode()[:8000]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
