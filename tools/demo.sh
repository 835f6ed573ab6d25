#!/bin/bash
# The main job, told step by step: a numpy program is checkpointed while it runs, killed with
# SIGKILL, restarted, and its result is compared with that of an undisturbed run.
set -euo pipefail
cd "$(dirname "$0")/.."

# Descriptors that were left open by whoever started this script would be the job's, too.
for fd in /proc/$$/fd/*; do
  number=${fd##*/}
  if [ "$number" -gt 2 ] && [ "$number" -ne 255 ]; then eval "exec $number>&-"; fi
done

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '   $ %s\n' "$*"; }

say "Packages and build"
./tools/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release -j "$(nproc)" | tail -n 1

bin=$PWD/build/release/bin
work=$(mktemp -d "${TMPDIR:-/tmp}/ckrun-demo-XXXXXX")
export CKRUN_DIR=$work/state
program=(/usr/bin/python3 "$PWD/tests/apps/programs/numpy_job.py" 12 500 progress)

pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

# The line "round N" must have been printed by the program.
wait_for_round() {
  for _ in $(seq 600); do
    grep -q "^round $2 " "$1" && return
    sleep 0.1
  done
  echo "the program does not get to round $2" >&2
  exit 1
}

say "1. An undisturbed run: 500 MB of numbers, twelve rounds"
show "${program[*]}"
start=$SECONDS
"${program[@]}" >"$work/expected" 2>/dev/null
echo "   $(cat "$work/expected")"
echo "   ($((SECONDS - start)) s)"

say "2. The same under ckrun"
show "ckrun --name demo -- python3 numpy_job.py"
"$bin/ckrun" --name demo -- "${program[@]}" >"$work/first" 2>"$work/progress" </dev/null &
supervisor=$!
pids+=("$supervisor")
wait_for_round "$work/progress" 4
echo "   $(tail -n 1 "$work/progress")"

say "3. A checkpoint, while it runs"
show "ckpt demo"
image=$("$bin/ckpt" demo)
echo "   $image, $(stat -c %s "$image" | numfmt --to=iec)"
wait_for_round "$work/progress" 6
echo "   it goes on: $(tail -n 1 "$work/progress")"

say "4. SIGKILL for everything: as if the machine had lost its power"
read -r -a processes <"/proc/$supervisor/task/$supervisor/children" || true  # no newline
show "kill -9 $supervisor ${processes[*]}"
kill -9 "$supervisor" "${processes[@]}"
wait "$supervisor" 2>/dev/null || true
pids=()
for pid in "${processes[@]}"; do  # half a gigabyte takes a moment to go
  for _ in $(seq 100); do
    grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" 2>/dev/null || break
    sleep 0.05
  done
done
echo "   result so far: $(wc -c <"$work/first") bytes"

say "5. The restart"
show "ckpt restart demo"
"$bin/ckpt" restart demo >"$work/second" 2>"$work/progress2" </dev/null &
pids=($!)
status=0
wait "$!" || status=$?
pids=()
grep '^round' "$work/progress2" "$work/progress" | sed 's/.*:round/   round/' | sort -u -V | tail -n 3
echo "   exit status $status"

say "6. The result"
result=$(cat "$work/first" "$work/second")
echo "   $result"
if [ "$status" -eq 0 ] && [ "$result" = "$(cat "$work/expected")" ]; then
  echo "   It is the same as that of the undisturbed run."
else
  echo "   IT DIFFERS from the undisturbed run: $(cat "$work/expected")"
  cat "$work/progress2"
  exit 1
fi
