#!/bin/bash
# A redis server with its clients in one job: every value that was counted is printed, and is there
# again when the server has read its append-only file. The second half waits for `go`, if that is named;
# `pause`: between two questions, in seconds.
port=$1 rounds=$2 go=$3 pause=${4:-0}
start() {
    redis-server --port "$port" --bind 127.0.0.1 --appendonly yes --appendfsync everysec --save '' \
        --logfile server.log >/dev/null &
    server=$!
    until redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; do sleep 0.02; done
}
stop() {
    redis-cli -p "$port" shutdown nosave
    wait "$server"
}
rm -rf appendonlydir server.log
start
# Killed and restarted from before it had files, the server finds those of its other life.
redis-cli -p "$port" flushall
redis-cli -p "$port" -r "$rounds" -i "$pause" incr counter
while [[ -n $go && ! -e $go ]]; do sleep 0.02; done
redis-cli -p "$port" -r 3 rpush list one two
stop
start
redis-cli -p "$port" get counter
redis-cli -p "$port" lrange list 0 -1
stop
