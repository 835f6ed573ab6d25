#!/bin/bash
# Writes random blocks by io_uring and reads them all back: fio compares their checksums. One thread
# of a process with requests by worker threads; a thread beside the first; a polling thread.
set -e
megabytes=$1
run() {
  local what=$1
  shift
  fio --name="$what" --filename=data --ioengine=io_uring --rw=randwrite --bs=4k \
    --size="${megabytes}m" --iodepth=16 --verify=crc32c --verify_fatal=1 --eta=never \
    --output=log "$@" || { cat log; exit 1; }
  echo "$what verified"
}
run workers --force_async=4
run thread --thread --fixedbufs=1
run polled --sqthread_poll=1
