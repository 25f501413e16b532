// node-redis: commands in both protocols, transactions, scripts, messages, near-cache, pools.

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import {
  BasicClientSideCache, WatchError, createClient, createClientPool, defineScript,
} from "redis";
import { eventually, host, port } from "./server.js";

const opened = [];
const socket = { host, port, reconnectStrategy: 20 };
const client = await createClient({ socket }).connect();

/** A further connection, for as long as the test. */
async function connect(options = {}) {
  return keep(createClient({ socket, ...options })).connect();
}

function keep(one) {
  one.on("error", () => {});
  opened.push(one);
  return one;
}

beforeEach(() => client.flushAll());
afterEach(() => opened.splice(0).forEach((one) => one.isOpen && one.destroy()));
after(() => client.destroy());

for (const RESP of [2, 3]) {
  test(`commands in RESP${RESP}`, async () => {
    const c = await connect({ RESP });
    assert.equal(await c.set("k", "zwölf", { expiration: { type: "EX", value: 100 } }), "OK");
    assert.equal(await c.get("k"), "zwölf");
    assert.equal(await c.set("k", "x", { condition: "NX" }), null);
    assert.deepEqual(await c.mGet(["k", "none"]), ["zwölf", null]);
    await c.hSet("h", { a: "1", b: "two" });
    assert.deepEqual({ ...(await c.hGetAll("h")) }, { a: "1", b: "two" });
    await c.zAdd("z", [{ score: 1, value: "a" }, { score: 2.5, value: "b" }]);
    assert.deepEqual(
      (await c.zRangeWithScores("z", 0, -1)).map((m) => [m.value, m.score]),
      [["a", 1], ["b", 2.5]],
    );
    assert.equal(await c.zScore("z", "b"), 2.5);
    await c.sAdd("s", ["x", "y"]);
    assert.deepEqual([...(await c.sMembers("s"))].sort(), ["x", "y"]);
    await assert.rejects(c.incr("k"), /not an integer/);
    assert.equal(await c.sendCommand(["ECHO", "raw"]), "raw");
    const found = [];
    for await (const keys of c.scanIterator({ COUNT: 2 })) found.push(...keys);
    assert.deepEqual(found.sort(), ["h", "k", "s", "z"]);
  });

  test(`messages in RESP${RESP}`, async () => {
    const sub = await connect({ RESP });
    const heard = [];
    await sub.subscribe("news", (message, channel) => heard.push([channel, message]));
    await sub.pSubscribe("log.*", (message, channel) => heard.push([channel, message]));
    await sub.sSubscribe("orders", (message, channel) => heard.push([channel, message]));
    for (let n = 0; n < 50; n++) assert.equal(await client.publish("news", `${n}`), 1);
    assert.equal(await client.publish("log.a", "x"), 1);
    assert.equal(await client.sPublish("orders", "y"), 1);
    await eventually(() => heard.length === 52);
    assert.deepEqual(heard.slice(0, 50), Array.from({ length: 50 }, (_, n) => ["news", `${n}`]));
    assert.deepEqual(heard.slice(50), [["log.a", "x"], ["orders", "y"]]);
    if (RESP === 3) assert.equal(await sub.get("k"), null, "commands go on meanwhile");
    // Without names, node-redis waits until nothing of any kind is left.
    await sub.unsubscribe("news");
    await sub.pUnsubscribe("log.*");
    await sub.sUnsubscribe("orders");
    assert.equal(await client.publish("news", "x"), 0);
    assert.equal(await sub.get("k"), null);
  });

  test(`blocking pops in RESP${RESP}`, async () => {
    const c = await connect({ RESP });
    const popped = c.blPop(["a", "b"], 20);
    await blocked();
    await client.rPush("b", "x");
    assert.deepEqual({ ...(await popped) }, { key: "b", element: "x" });
    const least = c.bzPopMin("z", 20);
    await blocked();
    await client.zAdd("z", { score: 1.5, value: "m" });
    assert.deepEqual({ ...(await least) }, { key: "z", value: "m", score: 1.5 });
    assert.equal(await c.blMove("none", "to", "LEFT", "LEFT", 0.05), null);
  });
}

function blocked() {
  return eventually(async () => /blocked_clients:1/.test(await client.info("clients")));
}

// Its replies of streams in RESP3 are declared unstable by node-redis itself.
test("a stream is read as it grows", async () => {
  const c = await connect({ RESP: 2 });
  const next = c.xRead({ key: "s", id: "$" }, { BLOCK: 20_000 });
  await blocked();
  const id = await client.xAdd("s", "*", { n: "1" });
  const [stream] = await next;
  assert.equal(stream.name, "s");
  assert.deepEqual(stream.messages.map((m) => [m.id, m.message.n]), [[id, "1"]]);
  await client.xGroupCreate("s", "g", "0");
  const mine = await c.xReadGroup("g", "me", { key: "s", id: ">" }, { BLOCK: 100 });
  assert.equal(mine[0].messages[0].id, id);
  assert.equal(await c.xAck("s", "g", id), 1);
  assert.equal(await c.xReadGroup("g", "me", { key: "s", id: ">" }, { BLOCK: 30 }), null);
});

test("a transaction", async () => {
  const answers = await client.multi().set("k", "1").incr("k").get("k").exec();
  assert.deepEqual(answers, ["OK", 2, "2"]);
  await assert.rejects(client.multi().set("s", "text").incr("s").exec(), /commands failed|integer/);
  assert.equal(await client.get("s"), "text");
  const piped = await client.multi().set("a", "1").get("a").execAsPipeline();
  assert.deepEqual(piped, ["OK", "1"]);
});

test("a watched key that changes", async () => {
  const watcher = await connect();
  await watcher.watch("k");
  await client.set("k", "other");
  await assert.rejects(watcher.multi().set("k", "mine").exec(), WatchError);
  assert.equal(await client.get("k"), "other");
});

test("increments under contention, on a pool", async () => {
  const pool = keep(createClientPool({ socket }, { minimum: 4, maximum: 8, cleanupDelay: 50 }));
  await pool.connect();
  let lost = 0;
  async function increment() {
    for (;;) {
      const done = await pool.execute(async (one) => {
        await one.watch("n");
        const value = Number((await one.get("n")) ?? 0);
        try {
          return await one.multi().set("n", String(value + 1)).exec();
        } catch (error) {
          assert.ok(error instanceof WatchError, error);
          lost++;
          return null;
        }
      });
      if (done) return;
    }
  }
  await Promise.all(Array.from({ length: 60 }, increment));
  assert.equal(await client.get("n"), "60");
  console.log(`${lost} attempts lost a race`);
});

test("scripts", async () => {
  const add = defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
    parseCommand(parser, key, by) {
      parser.pushKey(key);
      parser.push(String(by));
    },
    transformReply: (reply) => reply,
  });
  const scripted = await connect({ scripts: { add } });
  assert.equal(await scripted.add("n", 5), 5);
  await client.scriptFlush();
  assert.equal(await scripted.add("n", 2), 7, "NOSCRIPT is answered by EVAL");
  assert.deepEqual(await scripted.multi().add("n", 1).get("n").exec(), [8, "8"]);
  const list = await client.eval("return {KEYS[1], ARGV[1], 3}", { keys: ["k"], arguments: ["a"] });
  assert.deepEqual(list, ["k", "a", 3]);
});

test("functions", async () => {
  const library = `#!lua name=shop
    redis.register_function('sell', function(keys, args)
      return redis.call('DECRBY', keys[1], args[1])
    end)`;
  await client.set("n", "8");
  assert.equal(await client.functionLoad(library, { REPLACE: true }), "shop");
  assert.equal(await client.fCall("sell", { keys: ["n"], arguments: ["3"] }), 5);
  assert.equal((await client.functionList())[0].library_name, "shop");
  await client.functionFlush();
});

test("a near-cache", async () => {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 100, evictPolicy: "LRU" });
  const near = await connect({ RESP: 3, clientSideCache: cache });
  await client.set("k", "one");
  for (let n = 0; n < 10; n++) assert.equal(await near.get("k"), "one");
  assert.equal(cache.stats().hitCount, 9);
  assert.equal(cache.stats().missCount, 1);
  await client.set("k", "two");
  await eventually(async () => (await near.get("k")) === "two");
  await client.hSet("h", "f", "v");
  assert.equal(await near.hGet("h", "f"), "v");
  await client.flushAll();
  await eventually(async () => (await near.hGet("h", "f")) === null);
  assert.equal(await near.get("k"), null);
});

test("a killed connection is made anew, with what it had", async () => {
  const one = await connect({ database: 3, name: "site" });
  const sub = await connect();
  const heard = [];
  await sub.subscribe("news", (message) => heard.push(message));
  await one.set("k", "kept");
  const id = await one.clientId();
  assert.equal(await client.sendCommand(["CLIENT", "KILL", "ID", String(id)]), 1);
  assert.equal(await client.sendCommand(["CLIENT", "KILL", "TYPE", "pubsub"]), 1);
  await eventually(async () => (await one.clientId().catch(() => 0)) > id);
  assert.equal(await one.get("k"), "kept", "on database 3");
  assert.equal(await one.clientGetName(), "site");
  await eventually(async () => (await client.publish("news", "again")) === 1);
  await eventually(() => heard.includes("again"));
});

test("what others do is monitored", async () => {
  const watcher = await connect();
  const seen = [];
  await watcher.monitor((line) => seen.push(String(line)));
  await client.set("k", "v");
  await eventually(() => seen.some((line) => line.endsWith('"SET" "k" "v"')));
});
