// ioredis: pipelines, transactions, scripts, publish and subscribe, streams, reconnection.

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { Redis } from "ioredis";
import { eventually, host, port } from "./server.js";

const redis = new Redis({ host, port });
const opened = [];

/** A further connection, for as long as the test. */
function connect(options = {}) {
  opened.push(new Redis({ host, port, ...options }));
  return opened.at(-1);
}

beforeEach(() => redis.flushall());
afterEach(() => opened.splice(0).forEach((one) => one.disconnect()));
after(() => redis.disconnect());

test("commands of every type", async () => {
  assert.equal(await redis.set("k", "zwölf", "EX", 100), "OK");
  assert.equal(await redis.get("k"), "zwölf");
  assert.deepEqual(await redis.getBuffer("k"), Buffer.from("zwölf"));
  assert.equal(await redis.set("k", "x", "NX"), null);
  assert.deepEqual(await redis.mget("k", "none"), ["zwölf", null]);
  await redis.hset("h", { a: 1, b: "two" });
  assert.deepEqual(await redis.hgetall("h"), { a: "1", b: "two" });
  await redis.zadd("z", 1, "a", 2.5, "b");
  assert.deepEqual(await redis.zrange("z", 0, -1, "WITHSCORES"), ["a", "1", "b", "2.5"]);
  await redis.rpush("l", 1, 2, 3);
  assert.deepEqual(await redis.lrange("l", 0, -1), ["1", "2", "3"]);
  assert.deepEqual((await redis.sunion("none", "s")).length, 0);
  await assert.rejects(redis.incr("k"), /not an integer/);
  await assert.rejects(redis.lpush("k", 1), /WRONGTYPE/);
});

test("a pipeline answers each command, errors too", async () => {
  const answers = await redis.pipeline().set("k", "text").incr("k").get("k").exec();
  assert.deepEqual(answers[0], [null, "OK"]);
  assert.match(answers[1][0].message, /not an integer/);
  assert.deepEqual(answers[2], [null, "text"]);
  const many = redis.pipeline();
  for (let n = 0; n < 5000; n++) many.set(`k${n}`, n).get(`k${n}`);
  const replies = await many.exec();
  assert.equal(replies.length, 10_000);
  assert.deepEqual(replies[9_999], [null, "4999"]);
});

test("automatic pipelines", async () => {
  const auto = connect({ enableAutoPipelining: true });
  await redis.mset(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`k${n}`, n])));
  const values = await Promise.all(Array.from({ length: 500 }, (_, n) => auto.get(`k${n}`)));
  assert.deepEqual(values, Array.from({ length: 500 }, (_, n) => String(n)));
});

test("a transaction", async () => {
  const answers = await redis.multi().set("k", 1).incr("k").lpush("k", "x").get("k").exec();
  assert.deepEqual(answers[1], [null, 2]);
  assert.match(answers[2][0].message, /WRONGTYPE/);
  assert.deepEqual(answers[3], [null, "2"]);
  await redis.multi({ pipeline: false });
  assert.equal(await redis.set("k", "new"), "QUEUED");
  assert.deepEqual(await redis.exec(), [[null, "OK"]]);
  await assert.rejects(redis.multi().call("nosuch").set("k", "never").exec(), /EXECABORT/);
  assert.equal(await redis.get("k"), "new");
});

test("a watched key that changes", async () => {
  const watcher = connect();
  await watcher.watch("k");
  await redis.set("k", "other");
  assert.equal(await watcher.multi().set("k", "mine").exec(), null);
  assert.equal(await redis.get("k"), "other");
});

test("scripts that are defined as commands", async () => {
  const scripted = connect({
    keyPrefix: "site:",
    scripts: { take: { numberOfKeys: 1, lua: "return redis.call('DECRBY', KEYS[1], ARGV[1])" } },
  });
  scripted.defineCommand("both", { lua: "return {KEYS[1], KEYS[2], ARGV[1], #ARGV}" });
  assert.equal(await scripted.take("stock", 5), -5);
  assert.equal(await redis.get("site:stock"), "-5");
  assert.deepEqual(await scripted.both(2, "a", "b", "x"), ["site:a", "site:b", "x", 1]);
  await redis.script("FLUSH");
  assert.equal(await scripted.take("stock", 1), -6, "NOSCRIPT is answered by EVAL");
  const answers = await scripted.pipeline().take("stock", 1).get("stock").take("stock", 1).exec();
  assert.deepEqual(answers, [[null, -7], [null, "-7"], [null, -8]]);
  const inside = await scripted.multi().take("stock", 2).exec();
  assert.deepEqual(inside, [[null, -10]]);
  const stats = await redis.info("commandstats");
  assert.match(stats, /cmdstat_evalsha:/);
});

test("messages", async () => {
  const sub = connect();
  const heard = [];
  sub.on("message", (channel, message) => heard.push([channel, message]));
  sub.on("pmessage", (pattern, channel, message) => heard.push([pattern, channel, message]));
  assert.equal(await sub.subscribe("news", "mail"), 2);
  assert.equal(await sub.psubscribe("log.*"), 3);
  await assert.rejects(sub.get("k"), /subscriber mode/);
  for (let n = 0; n < 100; n++) assert.equal(await redis.publish("news", n), 1);
  assert.equal(await redis.publish("log.a", "x"), 1);
  await eventually(() => heard.length === 101);
  assert.deepEqual(heard.slice(0, 100), Array.from({ length: 100 }, (_, n) => ["news", `${n}`]));
  assert.deepEqual(heard[100], ["log.*", "log.a", "x"]);
  // Without names, ioredis waits until nothing of any kind is left.
  assert.equal(await sub.unsubscribe("news", "mail"), 1);
  assert.equal(await sub.punsubscribe(), 0);
  assert.equal(await sub.get("k"), null, "an ordinary connection again");
  assert.equal(await redis.publish("news", "x"), 0);
});

test("messages of shards", async () => {
  const sub = connect();
  const heard = [];
  sub.on("smessage", (channel, message) => heard.push([channel, message]));
  await sub.ssubscribe("orders");
  assert.equal(await redis.spublish("orders", "one"), 1);
  await eventually(() => heard.length === 1);
  assert.deepEqual(heard, [["orders", "one"]]);
  assert.equal(await sub.sunsubscribe("orders"), 0);
});

test("a stream is read as it grows", async () => {
  const reader = connect();
  const next = reader.xread("BLOCK", 20_000, "STREAMS", "s", "$");
  await eventually(async () => /blocked_clients:1/.test(await redis.info("clients")));
  const id = await redis.xadd("s", "*", "n", "1");
  assert.deepEqual(await next, [["s", [[id, ["n", "1"]]]]]);
  assert.equal(await reader.xread("BLOCK", 30, "STREAMS", "s", id), null);
});

test("a consumer group", async () => {
  await redis.xgroup("CREATE", "s", "g", "0", "MKSTREAM");
  const workers = [connect(), connect(), connect()];
  const got = [];
  const working = workers.map(async (worker, n) => {
    for (;;) {
      const reply = await worker.xreadgroup(
        "GROUP", "g", `w${n}`, "COUNT", 1, "BLOCK", 20_000, "STREAMS", "s", ">",
      );
      const [[, [[id, [, value]]]]] = reply;
      await worker.xack("s", "g", id);
      if (value === "stop") return;
      got.push(Number(value));
    }
  });
  for (let n = 0; n < 60; n++) await redis.xadd("s", "*", "n", n);
  for (let n = 0; n < 3; n++) await redis.xadd("s", "*", "n", "stop");
  await Promise.all(working);
  assert.deepEqual(got.sort((a, b) => a - b), Array.from({ length: 60 }, (_, n) => n));
  assert.deepEqual(await redis.xpending("s", "g"), [0, null, null, null]);
});

test("a blocking pop and a blocking move", async () => {
  const waiter = connect();
  const popped = waiter.blpop("a", "b", 20);
  await eventually(async () => /blocked_clients:1/.test(await redis.info("clients")));
  await redis.rpush("b", "x");
  assert.deepEqual(await popped, ["b", "x"]);
  const moved = waiter.blmove("from", "to", "LEFT", "RIGHT", 20);
  await redis.rpush("from", "y");
  assert.equal(await moved, "y");
  assert.equal(await waiter.brpop("none", 0.05), null);
});

test("a killed connection is made anew, with what it had", async () => {
  const one = connect({ db: 3, connectionName: "site", retryStrategy: () => 20 });
  const sub = connect({ retryStrategy: () => 20 });
  const heard = [];
  sub.on("message", (_, message) => heard.push(message));
  await sub.subscribe("news");
  await sub.psubscribe("more*");
  await one.set("k", "kept");
  const id = await one.client("ID");
  assert.equal(await redis.client("KILL", "ID", id), 1);
  assert.equal(await redis.client("KILL", "TYPE", "pubsub"), 1);
  assert.equal(await one.get("k"), "kept", "queued until it is back, and on database 3");
  assert.ok((await one.client("ID")) > id);
  assert.equal(await one.client("GETNAME"), "site");
  await eventually(async () => (await redis.publish("news", "again")) === 1);
  await eventually(() => heard.includes("again"));
});

test("scanning as a stream", async () => {
  await redis.mset(Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`user:${n}`, n])));
  const found = new Set();
  for await (const keys of redis.scanStream({ match: "user:*", count: 100 })) {
    keys.forEach((key) => found.add(key));
  }
  assert.equal(found.size, 1000);
});

test("what others do is monitored", async () => {
  const watcher = connect();
  const monitor = await watcher.monitor();
  opened.push(monitor);
  const seen = [];
  monitor.on("monitor", (time, args) => seen.push(args));
  await redis.set("k", "v w");
  await eventually(() => seen.length > 0);
  assert.deepEqual(seen[0], ["set", "k", "v w"]);
});
