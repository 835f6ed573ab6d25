"""SQLite in a file: four processes move money between accounts in transactions, in write-ahead mode
(shared memory and POSIX locks), while a reader adds up. Argument: transfers of each."""
import os
import sqlite3
import subprocess
import sys

ACCOUNTS, WRITERS, START = 50, 4, 1000


def connect():
    database = sqlite3.connect("accounts.db", isolation_level=None, timeout=100)
    database.execute("pragma synchronous=normal")
    return database


def transfer(number, times):
    database, value = connect(), number + 1
    for _ in range(times):
        value = (value * 1103515245 + 12345) % (1 << 31)
        source, target, amount = value % ACCOUNTS, value // 64 % ACCOUNTS, value // 4096 % 20
        database.execute("begin immediate")
        database.execute("update account set money = money - ? where id = ?", (amount, source))
        database.execute("update account set money = money + ? where id = ?", (amount, target))
        database.execute("insert into log values (?, ?, ?, ?)", (number, source, target, amount))
        database.execute("commit")


def in_child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid


def main():
    times = int(sys.argv[1])
    for name in ("accounts.db", "accounts.db-wal", "accounts.db-shm"):
        if os.path.exists(name):
            os.unlink(name)
    database = connect()
    database.execute("pragma journal_mode=wal")
    database.execute("create table account (id integer primary key, money integer)")
    database.execute("create table log (writer integer, source, target, amount)")
    database.executemany("insert into account values (?, ?)",
                         [(number, START) for number in range(ACCOUNTS)])
    database.close()  # no connection may be carried across a fork
    children = [in_child(lambda number=number: transfer(number, times)) for number in range(WRITERS)]
    database, done = connect(), 0
    while done < WRITERS * times:
        total, done = database.execute(
            "select (select sum(money) from account), (select count(*) from log)").fetchone()
        assert total == ACCOUNTS * START, total
    print([os.waitpid(child, 0)[1] for child in children], total, done, flush=True)
    database.close()
    for query in ("pragma integrity_check;", "select count(*), sum(amount) from log;",
                  "select id, money from account order by id;"):
        subprocess.run(["sqlite3", "accounts.db", query], check=True)


main()
