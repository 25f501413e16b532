// TLS: ioredis and node-redis, with a certificate of their own. Run by ../test_tls.py.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { port } from "./server.js";

const tls = {
  ca: readFileSync(process.env.SERVER_CA),
  cert: readFileSync(process.env.CLIENT_CERT),
  key: readFileSync(process.env.CLIENT_KEY),
};
const large = "x".repeat(1 << 20);

test("ioredis", async () => {
  const redis = new Redis({ host: "localhost", port, tls });
  assert.equal(await redis.set("k", large), "OK");
  assert.equal(await redis.get("k"), large);
  const pipeline = redis.pipeline();
  for (let n = 0; n < 1000; n++) pipeline.incr("n");
  assert.deepEqual((await pipeline.exec()).at(-1), [null, 1000]);
  await redis.quit();
});

test("node-redis", async () => {
  const redis = createClient({ socket: { host: "localhost", port, tls: true, ...tls } });
  await redis.connect();
  assert.equal(await redis.set("k", large), "OK");
  assert.equal(await redis.get("k"), large);
  const answers = await Promise.all(Array.from({ length: 1000 }, () => redis.incr("m")));
  assert.equal(answers.at(-1), 1000);
  await redis.close();
});
