#!/bin/bash
# PostgreSQL: initdb, server, pgbench with four clients, a restart of the server, and what must hold
# afterwards. Arguments: folder of its programs, transactions of each client.
set -e
PATH=$1:$PATH transactions=$2
export PGHOST=$PWD PGDATABASE=postgres LC_ALL=C
rm -rf data
initdb -D data -A trust --no-locale -E UTF8 --data-checksums >initdb.log 2>&1
cat >>data/postgresql.conf <<END
listen_addresses = ''
unix_socket_directories = '$PWD'
shared_buffers = 16MB
max_wal_size = 64MB
checkpoint_timeout = 30s
autovacuum_naptime = 1s
END
pg_ctl -D data -l server.log -w start >/dev/null
pgbench -q -i -s 1 >pgbench.log 2>&1
pgbench -n -c 4 -j 2 -t "$transactions" --random-seed=7 >>pgbench.log 2>&1
psql -X -q -c 'create extension amcheck'
totals='select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers),
  (select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history),
  (select count(*) from pgbench_history)'
psql -X -A -t -c "$totals"
pg_ctl -D data -w -m fast stop >/dev/null
pg_checksums -D data --check | tail -n 2
pg_ctl -D data -l server.log -w start >/dev/null
psql -X -A -t -c "$totals"
pg_amcheck --heapallindexed && echo no damage
pg_ctl -D data -w -m fast stop >/dev/null
# A fast stop ends an autovacuum that is at work, and the log says so: that is no damage.
grep -E 'PANIC|FATAL|ERROR' server.log | grep -v 'due to administrator command' || echo nothing in the log
