#!/bin/bash
# Sets up, builds and runs all tests. Arguments go to ctest, for example: -L quick, -R roundtrip.
set -euo pipefail
cd "$(dirname "$0")/.."

jobs=$(nproc)
./tools/setup.sh
cmake --preset release
cmake --build --preset release -j "$jobs"
if [ $# -eq 0 ]; then  # without the choice of a part: the fuzzers too, for a minute each
  cmake --preset fuzz
  cmake --build --preset fuzz -j "$jobs"
fi
# Most tests wait most of the time. Where nobody watches, a line for each test that passed hides those
# of the others.
if [ -z "${CI:-}" ]; then
  ctest --preset release -j "$((2 * jobs))" --no-tests=error "$@"
else
  ctest --preset release -j "$((2 * jobs))" --no-tests=error "$@" |
    grep --text --line-buffered -vE '^ +Start +[0-9]+: |[. ]Passed +[0-9.]+ sec$'
fi
