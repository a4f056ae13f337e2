// ioredis (RESP2), ioredis 6 (RESP3) and node-redis as a user of mainstay's own: host, port, user, password.
import assert from "node:assert";

const [host, port, username, password] = process.argv.slice(2);

async function withIoredis(name, options) {
  const { Redis } = await import(name);
  const redis = new Redis({ host, port: Number(port), username, password, db: 1, connectionName: "worker", ...options });
  await redis.set("k", "v");
  assert.equal(await redis.get("k"), "v");
  const replies = await redis.multi().incr("n").incr("n").exec();
  assert.equal(replies[1][1], replies[0][1] + 1);
  await redis.quit();
  const wrong = new Redis({ host, port: Number(port), username, password: "wrong", retryStrategy: null, maxRetriesPerRequest: 0, ...options });
  wrong.on("error", () => {});
  await assert.rejects(wrong.get("k"));
  wrong.disconnect();
}

async function withNodeRedis(RESP) {
  const { createClient } = await import("redis");
  const client = createClient({ RESP, username, password, socket: { host, port: Number(port), reconnectStrategy: false } });
  client.on("error", () => {});
  await client.connect();
  await client.set("k", "v");
  assert.equal(await client.get("k"), "v");
  await client.close();
  const wrong = createClient({ RESP, username, password: "wrong", socket: { host, port: Number(port), reconnectStrategy: false } });
  wrong.on("error", () => {});
  await assert.rejects(wrong.connect());
}

await withIoredis("ioredis", {});
await withIoredis("ioredis6", { protocol: 3 });
await withNodeRedis(2);
await withNodeRedis(3);
console.log("fine");
process.exit(0);
