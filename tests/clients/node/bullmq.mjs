// BullMQ: a queue and a worker of ten jobs at a time. Adds jobs until the key `stop` is there and works all of them off. Any error
// event, any failed or stalled job ends it. Prints how many jobs were done.
import { setTimeout as sleep } from "node:timers/promises";
import { Queue, QueueEvents, Worker } from "bullmq";
import { Redis } from "ioredis";

const [host, port, password] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const fail = (what) => (error) => {
  console.error(what, error);
  process.exit(1);
};
process.on("unhandledRejection", fail("a rejection that nobody awaited:"));

const connection = { host, port, password, db: 1 };
const looker = new Redis({ ...connection });
const queue = new Queue("jobs", { connection });
const events = new QueueEvents("jobs", { connection });
const done = new Map();
const worker = new Worker(
  "jobs",
  async (job) => {
    done.set(job.data.number, (done.get(job.data.number) ?? 0) + 1);
    await looker.incr("done");
    return job.data.number;
  },
  { connection, concurrency: 10 },
);
for (const [name, emitter] of Object.entries({ looker, queue, events, worker })) emitter.on("error", fail(`${name}:`));
worker.on("failed", (job, error) => fail(`job ${job?.id} failed:`)(error));
worker.on("stalled", fail("a job stalled:"));
let completed = 0;
events.on("completed", () => completed++);
await events.waitUntilReady();

let added = 0;
while (!(await looker.exists("stop"))) {
  // Delayed ones, and several in one transaction, go other ways through its scripts.
  const jobs = Array.from({ length: 5 }, (_, place) => ({
    name: "job",
    data: { number: added + place },
    opts: { delay: place === 0 ? 50 : 0, removeOnComplete: true },
  }));
  await queue.addBulk(jobs);
  await queue.add("job", { number: added + 5 }, { removeOnComplete: true });
  added += 6;
  await sleep(5);
}
const begun = Date.now();
while (done.size < added || completed < added) {
  if (Date.now() - begun > 20_000) fail("jobs are missing:")(`${added} added, ${done.size} done, ${completed} told of`);
  await sleep(20);
}
const twice = [...done].filter(([, times]) => times !== 1);
if (twice.length > 0) fail("done more than once:")(twice);
console.log(added);
process.exit(0);
