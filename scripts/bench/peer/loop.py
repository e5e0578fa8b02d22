"""loop.py asyncio|uvloop WORKLOAD - what neap's workloads cost in Python.

Prints lines `name value` as the limit programs do, in processor time, and
nothing where the library is not installed.
"""
import asyncio
import statistics
import subprocess
import sys
import time

clock = time.process_time


def report(name, value):
    print(name, f"{value:.6g}", flush=True)


def peak_rss():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024


async def turns(n):
    for _ in range(n):
        await asyncio.sleep(0)


async def down(depth, n):
    if depth == 0:
        await turns(n)
        return 0
    return await down(depth - 1, n) + 1


async def switch():
    n = 100_000
    for name, depth in (("switch0", 0), ("switch20", 20)):
        start = clock()
        await asyncio.gather(down(depth, n), down(depth, n))
        report(name, (clock() - start) * 1e9 / (2 * n))


async def call():
    async def f(x):
        return x

    async def fib(n):
        return n if n < 2 else await fib(n - 1) + await fib(n - 2)

    async def deep(n):
        return 0 if n == 0 else 1 + await deep(n - 1)

    start = clock()
    for i in range(1_000_000):
        await f(i)
    report("call", (clock() - start) * 1e3)
    start = clock()
    await fib(22)
    report("fib", (clock() - start) * 1e9 / 57313)
    start = clock()
    for _ in range(2000):
        await deep(100)
    report("deep", (clock() - start) * 1e9 / 200_000)


async def trivial(i):
    return i


async def suspend(i):
    await asyncio.sleep(0)
    return i


async def wave(f):
    n = 100_000
    start = clock()
    results = await asyncio.gather(*[f(i) for i in range(n)])
    assert len(results) == n
    return (clock() - start) * 1e9 / n


async def spawn():
    report("spawn", await wave(trivial))


async def suspend_waves():
    report("first", await wave(suspend))
    report("later", statistics.median([await wave(suspend) for _ in range(2)]))


async def sleepers():
    n = 100_000
    rss, cpu, start = peak_rss(), clock(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(asyncio.sleep(1))
    report("cpu", (clock() - cpu) * 1e6 / n)
    report("late", (time.monotonic() - start - 1) * 1e3)
    report("rss", (peak_rss() - rss) / n)


async def queue():
    n, q = 200_000, asyncio.Queue(10)

    async def produce():
        for i in range(n):
            await q.put(i)

    async def consume():
        for _ in range(n):
            await q.get()

    start = clock()
    await asyncio.gather(produce(), consume())
    report("queue", n / (clock() - start) / 1e6)


async def timeout():
    n = 50_000
    start = clock()
    await turns(n)
    alone = clock() - start
    start = clock()
    for _ in range(n):
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
    report("timeout", (clock() - start - alone) * 1e9 / n)


def text_of(path):
    with open(path, "rb") as file:
        return file.read()


# asyncio has no files of its own: threads read them.
async def files():
    n, directory = 10_000, sys.argv[3]
    start = time.monotonic()
    texts = await asyncio.gather(*[
        asyncio.to_thread(text_of, f"{directory}/{i + 1}.txt")
        for i in range(n)])
    report("files", (time.monotonic() - start) * 1e6 / n)
    assert all(len(text) == 1000 for text in texts)


async def children():
    n, at_once = 1000, asyncio.Semaphore(20)

    async def run():
        async with at_once:
            child = await asyncio.create_subprocess_exec(
                "true", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
            await child.communicate()
            assert child.returncode == 0

    start = time.monotonic()
    await asyncio.gather(*[run() for _ in range(n)])
    report("children", (time.monotonic() - start) * 1e6 / n)


async def start():
    pass


def main():
    library, name = sys.argv[1:3]
    if library == "uvloop":
        try:
            import uvloop
        except ImportError:
            return
        uvloop.install()
    asyncio.run(globals()[name]())


main()
