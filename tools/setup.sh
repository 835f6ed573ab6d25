#!/bin/bash
# Installs what the build and the tests need on Debian 12; does nothing where all of it is there.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config ccache file dpkg-dev
  libcli11-dev libprotobuf-dev protobuf-compiler libspdlog-dev libzstd-dev libxxhash-dev libsqlite3-dev
  libboost1.81-dev libboost-test1.81-dev libboost-json1.81-dev libunwind-dev
  libssl-dev libtomlplusplus-dev prometheus-cpp-dev openssl
  zstd xz-utils gzip python3 python3-numpy nodejs default-jdk-headless golang-go perl gawk mawk
  sqlite3 redis libjemalloc2 git make strace gdb util-linux man-db
  python3-pyte bash vim nvi nano emacs-nox less procps htop ipython3 mc dialog expect tmux screen
  openssh-server openssh-client
  postgresql-15 nginx-light memcached mpich libmpich-dev tcl
  iproute2 libnftables1 clang libclang-rt-14-dev liburing-dev fio
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "setup.sh: these packages are missing, and only root can install them: ${missing[*]}" >&2
    exit 1
  }
  root=(sudo)
fi
echo "setup.sh: installing ${missing[*]}"
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -q --no-install-recommends "${missing[@]}"
