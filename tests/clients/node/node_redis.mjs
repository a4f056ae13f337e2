// node-redis.
import { createHash } from "node:crypto";
import { createClient } from "redis";
import { SCRIPT, fail, host, password, port, protocol, run } from "./rounds.mjs";

const digest = createHash("sha1").update(SCRIPT).digest("hex");

await run(async () => {
  const client = createClient({ socket: { host, port }, password, database: 1, name: "unnoticed", RESP: protocol });
  client.on("error", fail);
  client.on("reconnecting", () => fail(new Error("a connection was closed")));
  await client.connect();
  return {
    set: (key, value) => client.set(key, value),
    get: (key) => client.get(key),
    incr: (key) => client.incr(key),
    exists: (key) => client.exists(key),
    lpush: (key, value) => client.lPush(key, value),
    publish: (channel, value) => client.publish(channel, value),
    brpop: async (list, seconds) => (await client.brPop(list, seconds))?.element ?? null,
    // It sends together what is asked in one turn of the loop.
    pipeline: (key, value) =>
      Promise.all([client.set(key + "p", value), client.get(key + "p"), client.echo(value), client.incr(key + "m")]),
    transaction: (key, value) => client.multi().incr(key + "t").set(key + "b", value).get(key + "b").exec(),
    script: async (key, value) => {
      const options = { keys: [key], arguments: [value] };
      try {
        return await client.evalSha(digest, options);
      } catch (error) {
        if (!String(error.message).startsWith("NOSCRIPT")) throw error;
        return await client.eval(SCRIPT, options);
      }
    },
    subscribe: (channel, callback) => client.subscribe(channel, callback),
  };
});
