// loop.mjs WORKLOAD - what neap's workloads cost in Node. Prints lines
// `name value` as the limit programs do; wall time, as Node's other threads
// compile and collect meanwhile.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";

const clock = () => performance.now() / 1e3;
const report = (name, value) => console.log(name, value.toPrecision(6));

function peakRss() {
  const status = readFileSync("/proc/self/status", "latin1");
  return status.match(/VmHWM:\s*(\d+)/)[1] * 1024;
}

async function turns(n) {
  for (let i = 0; i < n; i++) await new Promise(setImmediate);
}

async function down(depth, n) {
  if (depth === 0) {
    await turns(n);
    return 0;
  }
  return await down(depth - 1, n) + 1;
}

async function switches() {
  const n = 200_000;
  await Promise.all([down(0, 20_000), down(0, 20_000)]);
  for (const [name, depth] of [["switch0", 0], ["switch20", 20]]) {
    const start = clock();
    await Promise.all([down(depth, n), down(depth, n)]);
    report(name, (clock() - start) * 1e9 / (2 * n));
  }
}

async function call() {
  const f = async (x) => x;
  const fib = async (n) => n < 2 ? n : await fib(n - 1) + await fib(n - 2);
  const deep = async (n) => n === 0 ? 0 : 1 + await deep(n - 1);
  for (let i = 0; i < 100_000; i++) await f(i);
  let start = clock();
  for (let i = 0; i < 2_000_000; i++) await f(i);
  report("call", (clock() - start) * 1e9 / 2_000_000);
  await fib(20);
  start = clock();
  await fib(24);
  report("fib", (clock() - start) * 1e9 / 150_049);
  start = clock();
  for (let i = 0; i < 5000; i++) await deep(100);
  report("deep", (clock() - start) * 1e9 / 500_000);
}

const trivial = async (i) => i;
const suspended = async (i) => { await new Promise(setImmediate); return i; };

async function wave(f) {
  const n = 100_000, list = [];
  const start = clock();
  for (let i = 0; i < n; i++) list.push(f(i));
  await Promise.all(list);
  return (clock() - start) * 1e9 / n;
}

async function waves(f, n) {
  const list = [];
  for (let i = 0; i < n; i++) list.push(await wave(f));
  return list.sort((a, b) => a - b)[n >> 1];
}

async function spawn() {
  report("spawn", await waves(trivial, 5));
}

async function suspendWaves() {
  report("first", await wave(suspended));
  report("later", await waves(suspended, 3));
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function sleepers() {
  const n = 100_000, list = [];
  const nap = async () => { await sleep(1000); };
  const rss = peakRss(), cpu = process.cpuUsage(), start = clock();
  for (let i = 0; i < n; i++) list.push(nap());
  await Promise.all(list);
  const { user, system } = process.cpuUsage(cpu);
  report("cpu", (user + system) / n);
  report("late", (clock() - start - 1) * 1e3);
  report("rss", (peakRss() - rss) / n);
}

// Node has no bounded queue; this is the shortest that waits on both sides.
class Queue {
  items = [];
  head = 0;
  getters = [];
  putters = [];
  constructor(size) { this.size = size; }
  async put(item) {
    while (this.items.length - this.head >= this.size) {
      await new Promise((done) => this.putters.push(done));
    }
    this.items.push(item);
    this.getters.shift()?.();
  }
  async get() {
    while (this.head === this.items.length) {
      await new Promise((done) => this.getters.push(done));
    }
    const item = this.items[this.head++];
    if (this.head === 1024) {
      this.items.splice(0, 1024);
      this.head = 0;
    }
    this.putters.shift()?.();
    return item;
  }
}

async function queue() {
  const n = 1_000_000, q = new Queue(10);
  const produce = async () => { for (let i = 0; i < n; i++) await q.put(i); };
  const consume = async () => { for (let i = 0; i < n; i++) await q.get(); };
  const start = clock();
  await Promise.all([produce(), consume()]);
  report("queue", n / (clock() - start) / 1e6);
}

// A timeout in Node is a signal that the operation listens to.
async function timeout() {
  const n = 50_000;
  let start = clock();
  for (let i = 0; i < n; i++) await turn();
  const alone = clock() - start;
  start = clock();
  for (let i = 0; i < n; i++) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), 30_000);
    await turn(undefined, { signal: abort.signal });
    clearTimeout(timer);
  }
  report("timeout", (clock() - start - alone) * 1e9 / n);
}

async function files() {
  const n = 10_000, list = [], start = clock();
  for (let i = 1; i <= n; i++) {
    list.push(readFile(`${process.argv[3]}/${i}.txt`, "latin1"));
  }
  const texts = await Promise.all(list);
  report("files", (clock() - start) * 1e6 / n);
  if (!texts.every((text) => text.length === 1000)) process.exit(1);
}

// execFile captures the output, as the others do.
async function children() {
  const n = 1000, execute = promisify(execFile);
  let started = 0;
  const worker = async () => {
    while (started++ < n) await execute("true");
  };
  const start = clock();
  await Promise.all(Array.from({ length: 20 }, worker));
  report("children", (clock() - start) * 1e6 / n);
}

async function start() {}

const workloads = {
  switch: switches, call, spawn, suspend_waves: suspendWaves, sleepers, queue,
  timeout, files, children, start,
};
await workloads[process.argv[2]]();
