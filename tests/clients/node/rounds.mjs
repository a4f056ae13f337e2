// What every program for Node does, whichever client it uses. See ../README.md.
// The one error that a client reports by itself, by an event or a rejection that nobody awaits, ends the program as well.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

export const [host, port, password, protocol] = [process.argv[2], Number(process.argv[3]), process.argv[4], Number(process.argv[5])];
export const SCRIPT = "return {redis.call('INCR', KEYS[1]), ARGV[1]}";
const WORKERS = 4;

export function fail(error) {
  console.error(error);
  process.exit(1);
}
process.on("unhandledRejection", fail);

/** `connect()` gives one of: set get incr exists lpush publish brpop(list, seconds) subscribe(channel, callback), pipeline and transaction
 *  (both of what they are named after, answered as one array), script(key, value). */
export async function run(connect) {
  const [rounds, taken, heard] = [Array(WORKERS).fill(0), [], []];
  let over = false;

  async function work(number) {
    const [client, key] = [await connect(), `w${number}:`];
    while (!over) {
      const turn = ++rounds[number];
      const value = `${key}${turn}`;
      assert.equal(await client.set(key + "k", value), "OK");
      assert.equal(await client.get(key + "k"), value);
      assert.equal(await client.incr(key + "n"), turn);
      assert.deepEqual(await client.pipeline(key, value), ["OK", value, value, turn]);
      assert.deepEqual(await client.transaction(key, value), [turn, "OK", value]);
      assert.deepEqual(await client.script(key + "s", value), [turn, value]);
      await client.lpush("list", value);
      await client.publish("news", value);
      await sleep(2);
    }
  }

  async function consume() {
    const client = await connect();
    for (;;) {
      const element = await client.brpop("list", 1);
      if (element !== null) taken.push(element);
      else if (over) return;
    }
  }

  const subscriber = await connect();
  await subscriber.subscribe("news", (value) => heard.push([Date.now(), value]));

  async function finish() {
    const client = await connect();
    while (!(await client.exists("stop"))) await sleep(20);
    over = true;
    return Date.now();
  }

  const [asked] = await Promise.all([finish(), consume(), ...rounds.map((_, number) => work(number))]);
  const pushed = rounds.flatMap((turns, number) => Array.from({ length: turns }, (_, turn) => `w${number}:${turn + 1}`));
  assert.deepEqual(taken.sort(), pushed.sort());
  assert.ok(heard.length > 0 && heard.at(-1)[0] > asked - 2000, "the subscriber does not hear any more");
  console.log(rounds.join(" "));
  process.exit(0);
}
