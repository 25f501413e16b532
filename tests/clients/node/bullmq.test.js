// BullMQ: its scripts are the hardest in common use. Each test has a queue of its own.

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } from "bullmq";
import { Redis } from "ioredis";
import { eventually, host, pause, port } from "./server.js";

const redis = new Redis({ host, port, maxRetriesPerRequest: null });
const connection = { host, port };
const opened = [];
let name;
let turn = 0;

beforeEach(async () => {
  await redis.flushall();
  name = `guild-${++turn}`;
});
afterEach(() => Promise.all(opened.splice(0).map((one) => one.close(true))));
after(() => redis.disconnect());

function keep(one) {
  one.on?.("error", () => {});
  opened.push(one);
  return one;
}

const queue = (options = {}) => keep(new Queue(name, { connection, ...options }));

/** A worker, and the names and data of what it did. */
function worker(process = async (job) => job.data.n, options = {}) {
  const one = keep(new Worker(name, process, { connection, drainDelay: 1, ...options }));
  one.done = [];
  one.on("completed", (job) => one.done.push(job.data.n));
  return one;
}

/** Its events, from the first one on; by default one would miss what is before the first read. */
async function events() {
  const one = keep(new QueueEvents(name, { connection, lastEventId: "0-0" }));
  await one.waitUntilReady();
  return one;
}

test("a job, its result, its progress and its log", async () => {
  const jobs = queue();
  const heard = await events();
  const progress = [];
  heard.on("progress", ({ data }) => progress.push(data));
  worker(async (job) => {
    await job.updateProgress(50);
    await job.log("half way");
    await job.updateData({ ...job.data, seen: true });
    return { sum: job.data.a + job.data.b };
  });
  const job = await jobs.add("sum", { a: 2, b: 3 });
  assert.deepEqual(await job.waitUntilFinished(heard, 10_000), { sum: 5 });
  const stored = await jobs.getJob(job.id);
  assert.equal(await stored.getState(), "completed");
  assert.deepEqual(stored.data, { a: 2, b: 3, seen: true });
  assert.ok(stored.finishedOn >= stored.processedOn && stored.processedOn >= stored.timestamp);
  assert.deepEqual(await jobs.getJobLogs(job.id), { logs: ["half way"], count: 1 });
  await eventually(() => progress.length === 1);
  assert.deepEqual(progress, [50]);
});

test("two hundred jobs, each done once", async () => {
  const jobs = queue();
  const many = Array.from({ length: 200 }, (_, n) => ({ name: "n", data: { n } }));
  await jobs.addBulk(many);
  assert.equal(await jobs.count(), 200);
  const workers = [worker(undefined, { concurrency: 10 }), worker(undefined, { concurrency: 10 })];
  const done = () => workers.flatMap((one) => one.done);
  await eventually(() => done().length === 200);
  assert.deepEqual(done().sort((a, b) => a - b), many.map((job) => job.data.n));
  await eventually(async () => (await jobs.getJobCounts("completed")).completed === 200);
  assert.equal(await jobs.count(), 0);
});

test("attempts with a backoff, and failures", async () => {
  const jobs = queue({ defaultJobOptions: { backoff: { type: "fixed", delay: 20 } } });
  const heard = await events();
  worker(async (job) => {
    if (job.name === "hopeless") throw new UnrecoverableError("no use");
    if (job.attemptsMade < job.data.failures) throw new Error(`attempt ${job.attemptsMade}`);
    return job.attemptsMade;
  });
  const flaky = await jobs.add("flaky", { failures: 2 }, { attempts: 5 });
  const tooOften = await jobs.add("flaky", { failures: 9 }, { attempts: 2 });
  const hopeless = await jobs.add("hopeless", {}, { attempts: 5 });
  assert.equal(await flaky.waitUntilFinished(heard, 10_000), 2);
  await assert.rejects(tooOften.waitUntilFinished(heard, 10_000), /attempt 1/);
  await assert.rejects(hopeless.waitUntilFinished(heard, 10_000), /no use/);
  const failed = await jobs.getFailed();
  assert.deepEqual(failed.map((job) => job.attemptsMade).sort(), [1, 2]);
  assert.equal((await jobs.getJob(tooOften.id)).stacktrace.length, 2);
  const again = await jobs.getJob(tooOften.id);
  await again.updateData({ failures: 0 });
  await again.retry();
  await eventually(async () => (await again.getState()) === "completed");
});

test("delayed and promoted jobs", async () => {
  const jobs = queue();
  const began = Date.now();
  const at = {};
  worker(async (job) => (at[job.data.n] = Date.now() - began));
  await jobs.add("n", { n: "soon" }, { delay: 300 });
  const promoted = await jobs.add("n", { n: "promoted" }, { delay: 60_000 });
  const changed = await jobs.add("n", { n: "changed" }, { delay: 60_000 });
  assert.equal(await promoted.getState(), "delayed");
  assert.equal((await jobs.getJobCounts("delayed")).delayed, 3);
  await promoted.promote();
  await changed.changeDelay(400);
  await eventually(() => Object.keys(at).length === 3);
  assert.ok(at.soon >= 290 && at.changed >= 390, JSON.stringify(at));
  assert.ok(at.promoted < at.soon, JSON.stringify(at));
});

test("priorities, first in first out, last in first out", async () => {
  const jobs = queue();
  for (const [n, priority] of [["c", 9], ["a", 1], ["b", 5], ["a2", 1]]) {
    await jobs.add("n", { n }, { priority });
  }
  await jobs.add("n", { n: "plain" });
  await jobs.add("n", { n: "last in" }, { lifo: true });
  const late = await jobs.add("n", { n: "changed" }, { priority: 99 });
  await late.changePriority({ priority: 2 });
  assert.equal(await jobs.getCountsPerPriority([1]).then((counts) => counts[1]), 2);
  const one = worker();
  await eventually(() => one.done.length === 7);
  assert.deepEqual(one.done, ["last in", "plain", "a", "a2", "changed", "b", "c"]);
});

test("job schedulers: every so often, by cron, removed", async () => {
  const jobs = queue();
  const one = worker();
  await jobs.upsertJobScheduler("beat", { every: 100 }, { name: "n", data: { n: "beat" } });
  await jobs.upsertJobScheduler("limited", { every: 50, limit: 2 }, { data: { n: "limited" } });
  await jobs.upsertJobScheduler("yearly", { pattern: "0 0 1 1 *" }, { data: { n: "yearly" } });
  const count = (n) => one.done.filter((what) => what === n).length;
  await eventually(() => count("beat") >= 4 && count("limited") >= 2);
  const known = await jobs.getJobSchedulers();
  assert.ok(known.some((s) => s.key === "yearly") && known.some((s) => s.key === "beat"));
  const next = new Date((await jobs.getJobScheduler("yearly")).next);
  assert.deepEqual([next.getMonth(), next.getDate(), next.getHours()], [0, 1, 0]);
  assert.equal(await jobs.removeJobScheduler("beat"), true);
  assert.equal(await jobs.removeJobScheduler("beat"), false);
  assert.equal(count("limited"), 2);
  const delayed = await jobs.getDelayed();
  assert.ok(delayed.every((job) => job.data.n !== "beat"));
});

test("flows: parents wait for their children", async () => {
  const flows = keep(new FlowProducer({ connection }));
  const heard = await events();
  worker(async (job) => {
    if (job.name === "bad") throw new Error("a child failed");
    const values = Object.values(await job.getChildrenValues());
    return values.reduce((a, b) => a + b, job.data.n);
  });
  const child = (n, children = []) => ({ name: "n", data: { n }, queueName: name, children });
  const tree = await flows.add(child(1, [child(10), child(20, [child(100), child(200)])]));
  assert.equal(await tree.job.waitUntilFinished(heard, 10_000), 331);
  const { processed } = await tree.job.getDependencies();
  assert.deepEqual(Object.values(processed).sort(), [10, 320]);
  const bad = { name: "bad", queueName: name, opts: { failParentOnFailure: true } };
  const doomed = await flows.add(child(1, [bad, child(5)]));
  await assert.rejects(doomed.job.waitUntilFinished(heard, 10_000), /child .* failed/);
  const ignored = { name: "bad", queueName: name, opts: { ignoreDependencyOnFailure: true } };
  const spared = await flows.add(child(1, [ignored, child(5)]));
  assert.equal(await spared.job.waitUntilFinished(heard, 10_000), 6);
});

test("a rate limit", async () => {
  const jobs = queue();
  await jobs.addBulk(Array.from({ length: 9 }, (_, n) => ({ name: "n", data: { n } })));
  const times = [];
  worker(async () => times.push(Date.now()), { limiter: { max: 3, duration: 300 } });
  await eventually(() => times.length === 3);
  assert.ok((await jobs.getRateLimitTtl(3)) > 0);
  await eventually(() => times.length === 9);
  for (let n = 0; n + 3 < 9; n++) {
    assert.ok(times[n + 3] - times[n] >= 280, `four within ${times[n + 3] - times[n]} ms`);
  }
});

test("a rate limit set while running", async () => {
  const jobs = queue();
  let refused = 0;
  const one = worker(
    async (job) => {
      if (job.data.n === 1 && refused === 0) {
        refused++;
        await one.rateLimit(200);
        throw Worker.RateLimitError();
      }
      return job.data.n;
    },
    { limiter: { max: 100, duration: 1000 } },
  );
  const began = Date.now();
  await jobs.addBulk([1, 2, 3].map((n) => ({ name: "n", data: { n } })));
  await eventually(() => one.done.length === 3);
  assert.ok(Date.now() - began >= 190);
  assert.equal(refused, 1);
});

test("pausing, resuming, global concurrency", async () => {
  const jobs = queue();
  const one = worker(undefined, { concurrency: 5 });
  await one.waitUntilReady();
  await jobs.pause();
  assert.equal(await jobs.isPaused(), true);
  await jobs.addBulk([1, 2, 3].map((n) => ({ name: "n", data: { n } })));
  await pause(100);
  assert.deepEqual(one.done, []);
  await jobs.resume();
  await eventually(() => one.done.length === 3);
  await one.close();
  await jobs.setGlobalConcurrency(1);
  let now = 0;
  let most = 0;
  const slow = async () => {
    most = Math.max(most, ++now);
    await pause(5);
    now--;
  };
  await jobs.addBulk(Array.from({ length: 20 }, (_, n) => ({ name: "n", data: { n } })));
  const both = [worker(slow, { concurrency: 5 }), worker(slow, { concurrency: 5 })];
  await eventually(() => both.flatMap((w) => w.done).length === 20);
  assert.equal(most, 1);
});

test("a job whose worker vanished is taken up by another", async () => {
  const jobs = queue();
  const heard = await events();
  const stalled = [];
  heard.on("stalled", ({ jobId }) => stalled.push(jobId));
  const options = { lockDuration: 200, stalledInterval: 200 };
  const job = await jobs.add("n", { n: 7 });
  const vanished = keep(new Worker(name, null, { connection, ...options }));
  const taken = await vanished.getNextJob("token");
  assert.equal(taken.id, job.id);
  assert.equal(await job.getState(), "active");
  const one = worker(async (again) => [again.data.n, again.stalledCounter], options);
  assert.deepEqual(await job.waitUntilFinished(heard, 10_000), [7, 1]);
  assert.deepEqual(stalled, [job.id]);
  await assert.rejects(taken.moveToCompleted("late", "token", false), /(lock|not in the active)/i);
  assert.equal(one.done.length, 1);
});

test("deduplication, own ids, removal", async () => {
  const jobs = queue();
  const first = await jobs.add("n", { n: 1 }, { deduplication: { id: "same", ttl: 60_000 } });
  const second = await jobs.add("n", { n: 2 }, { deduplication: { id: "same", ttl: 60_000 } });
  assert.equal(second.id, first.id);
  await jobs.add("n", { n: 3 }, { jobId: "mine" });
  await jobs.add("n", { n: 4 }, { jobId: "mine" });
  assert.equal(await jobs.count(), 2);
  assert.deepEqual((await jobs.getJob("mine")).data, { n: 3 });
  assert.equal(await jobs.removeDeduplicationKey("same"), 1);
  await jobs.add("n", { n: 5 }, { deduplication: { id: "same" } });
  assert.equal(await jobs.count(), 3);
  assert.equal(await jobs.remove("mine"), 1);
  assert.equal(await jobs.getJob("mine"), undefined);
  await jobs.drain();
  assert.equal(await jobs.count(), 0);
});

test("keeping, cleaning, obliterating", async () => {
  const jobs = queue({ defaultJobOptions: { removeOnComplete: 5, removeOnFail: true } });
  const one = worker(async (job) => {
    if (job.data.n % 10 === 9) throw new Error("no");
  });
  await jobs.addBulk(Array.from({ length: 30 }, (_, n) => ({ name: "n", data: { n } })));
  await eventually(() => one.done.length === 27);
  await eventually(async () => (await jobs.getJobCountByTypes("active", "wait")) === 0);
  const counts = await jobs.getJobCounts();
  assert.deepEqual([counts.completed, counts.failed], [5, 0]);
  const kept = (await jobs.getCompleted()).map((job) => job.data.n);
  assert.deepEqual(kept, [28, 27, 26, 25, 24]);
  assert.equal((await jobs.clean(0, 3, "completed")).length, 3);
  assert.equal(await jobs.getCompletedCount(), 2);
  await one.close();
  await jobs.add("n", { n: 1 });
  await jobs.obliterate({ force: true });
  const left = await redis.keys(`bull:${name}:*`);
  assert.deepEqual(left.filter((key) => !key.endsWith(":stalled-check")), []);
});

test("events, in order", async () => {
  const jobs = queue();
  const heard = await events();
  const seen = [];
  for (const event of ["added", "waiting", "active", "completed", "failed", "drained"]) {
    heard.on(event, ({ jobId }) => seen.push(jobId ? `${event} ${jobId}` : event));
  }
  worker(async (job) => {
    if (job.data.n === "bad") throw new Error("no");
  });
  await jobs.add("n", { n: "good" }, { jobId: "good" });
  await eventually(() => seen.includes("drained"));
  await jobs.add("n", { n: "bad" }, { jobId: "bad" });
  await eventually(() => seen.includes("failed bad"));
  const good = seen.filter((event) => event.endsWith(" good"));
  assert.deepEqual(good, ["added good", "waiting good", "active good", "completed good"]);
  const bad = seen.filter((event) => event.endsWith(" bad"));
  assert.deepEqual(bad, ["added bad", "waiting bad", "active bad", "failed bad"]);
});

test("a waiting worker survives the loss of its connections", async () => {
  const jobs = queue();
  const one = worker();
  await jobs.add("n", { n: "before" });
  await eventually(() => one.done.length === 1);
  await redis.client("KILL", "TYPE", "normal", "SKIPME", "yes");
  await eventually(async () => await jobs.add("n", { n: "after" }).catch(() => false));
  await eventually(() => one.done.includes("after"));
});
