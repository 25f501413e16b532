// Where the server under test is, and waiting without fixed pauses. Run by ../test_node.py.

import { setTimeout as pause } from "node:timers/promises";

export const port = Number(process.env.SERVER_PORT);
export const host = "127.0.0.1";
export { pause };

/** Calls `check` until it returns something true; its last answer. */
export async function eventually(check, timeoutMs = 10_000) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await check();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${check}`);
    await pause(10);
  }
}
