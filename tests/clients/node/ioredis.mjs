// ioredis: version 5 speaks RESP2, version 6 also RESP3.
import { SCRIPT, fail, host, password, port, protocol, run } from "./rounds.mjs";

const { Redis } = await import(protocol === 3 ? "ioredis6" : "ioredis");
const values = (replies) => replies.map(([error, value]) => (error ? fail(error) : value));

await run(async () => {
  const options = { host, port, password, db: 1, connectionName: "unnoticed", ...(protocol === 3 ? { protocol } : {}) };
  const redis = new Redis(options);
  redis.on("error", fail);
  // It would connect again by itself and tell nobody.
  redis.on("reconnecting", () => fail(new Error("a connection was closed")));
  redis.defineCommand("counted", { numberOfKeys: 1, lua: SCRIPT });
  return {
    set: (key, value) => redis.set(key, value),
    get: (key) => redis.get(key),
    incr: (key) => redis.incr(key),
    exists: (key) => redis.exists(key),
    lpush: (key, value) => redis.lpush(key, value),
    publish: (channel, value) => redis.publish(channel, value),
    brpop: async (list, seconds) => (await redis.brpop(list, seconds))?.[1] ?? null,
    pipeline: async (key, value) =>
      values(await redis.pipeline().set(key + "p", value).get(key + "p").echo(value).incr(key + "m").exec()),
    transaction: async (key, value) =>
      values(await redis.multi().incr(key + "t").set(key + "b", value).get(key + "b").exec()),
    script: (key, value) => redis.counted(key, value),
    subscribe: (channel, callback) => {
      redis.on("message", (_, value) => callback(value));
      return redis.subscribe(channel);
    },
  };
});
