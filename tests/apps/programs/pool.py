"""A multiprocessing Pool whose workers compute, and a queue and a lock between processes.
Argument: how many tasks."""
import multiprocessing
import sys


def work(number):
    total = 0
    for value in range(number * 100, number * 100 + 40000):
        total = (total * 31 + value * value) % 1000000007
    return number, total


def count(lock, counter, results, times):
    for _ in range(times):
        with lock:
            counter.value += 1
    results.put(times)


def main():
    tasks = int(sys.argv[1])
    with multiprocessing.Pool(4) as pool:
        for number, total in pool.imap(work, range(tasks), chunksize=3):
            print(number, total, flush=True)
    lock, counter = multiprocessing.Lock(), multiprocessing.Value("q", 0, lock=False)
    results = multiprocessing.Queue()
    children = [multiprocessing.Process(target=count, args=(lock, counter, results, 3000))
                for _ in range(3)]
    for child in children:
        child.start()
    print(sum(results.get() for _ in children))
    for child in children:
        child.join()
    print(counter.value, [child.exitcode for child in children])


if __name__ == "__main__":
    main()
