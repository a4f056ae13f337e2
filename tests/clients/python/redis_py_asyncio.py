"""redis-py's asyncio client. See ../README.md."""
import asyncio
import sys
import time

import redis.asyncio as redis

host, port, password, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
WORKERS = 4
over = False
taken, heard, rounds = [], [], [0] * WORKERS


def must(what, is_, should):
    if is_ != should:
        raise AssertionError(f"{what}: {is_!r} instead of {should!r}")


async def work(client, script, number):
    key = f"w{number}:"
    while not over:
        rounds[number] += 1
        turn = rounds[number]
        value = f"{key}{turn}"
        must("SET", await client.set(key + "k", value), True)
        must("GET", await client.get(key + "k"), value)
        must("INCR", await client.incr(key + "n"), turn)
        async with client.pipeline(transaction=False) as pipe:
            pipe.set(key + "p", value).get(key + "p").echo(value).incr(key + "m")
            must("pipeline", await pipe.execute(), [True, value, value, turn])
        async with client.pipeline() as pipe:
            pipe.incr(key + "t").set(key + "b", value).get(key + "b")
            must("transaction", await pipe.execute(), [turn, True, value])
        must("script", await script(keys=[key + "s"], args=[value]), [turn, value])
        await client.lpush("list", value)
        await client.publish("news", value)
        await asyncio.sleep(0.002)


async def consume(client):
    while True:
        item = await client.brpop("list", timeout=1)
        if item is not None:
            taken.append(item[1])
        elif over:
            return


async def listen(client):
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe("news")
    await pubsub.psubscribe("n?wspaper")
    while not over:
        message = await pubsub.get_message(timeout=0.2)
        if message is not None:
            heard.append((time.monotonic(), message["data"]))


async def finish(client):
    global over
    while not await client.exists("stop"):
        await asyncio.sleep(0.02)
    over = True
    return time.monotonic()


async def main():
    client = redis.Redis(
        host=host, port=port, db=1, password=password, protocol=protocol, client_name="unnoticed", decode_responses=True
    )
    script = client.register_script("return {redis.call('INCR', KEYS[1]), ARGV[1]}")
    work_all = [work(client, script, number) for number in range(WORKERS)]
    asked, *_ = await asyncio.gather(finish(client), consume(client), listen(client), *work_all)
    pushed = [f"w{number}:{turn}" for number in range(WORKERS) for turn in range(1, rounds[number] + 1)]
    must("elements taken", sorted(taken), sorted(pushed))
    if not heard or heard[-1][0] < asked - 2:
        raise AssertionError("the subscriber does not hear any more")
    print(*rounds)


asyncio.run(main())
