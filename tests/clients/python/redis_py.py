"""redis-py, one thread for each worker. See ../README.md."""
import os
import sys
import threading
import time
import traceback

import redis

host, port, password, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
WORKERS = 4
client = redis.Redis(
    host=host, port=port, db=1, password=password, protocol=protocol, client_name="unnoticed", decode_responses=True
)
over = threading.Event()
taken, heard, rounds = [], [], [0] * WORKERS
script = client.register_script("return {redis.call('INCR', KEYS[1]), ARGV[1]}")


def guarded(work):
    """One error ends the whole program."""

    def guard(*arguments):
        try:
            work(*arguments)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    return guard


def must(what, is_, should):
    if is_ != should:
        raise AssertionError(f"{what}: {is_!r} instead of {should!r}")


@guarded
def work(number):
    key = f"w{number}:"
    while not over.is_set():
        rounds[number] += 1
        turn = rounds[number]
        value = f"{key}{turn}"
        must("SET", client.set(key + "k", value), True)
        must("GET", client.get(key + "k"), value)
        must("INCR", client.incr(key + "n"), turn)
        with client.pipeline(transaction=False) as pipe:
            pipe.set(key + "p", value).get(key + "p").echo(value).incr(key + "m")
            must("pipeline", pipe.execute(), [True, value, value, turn])
        with client.pipeline() as pipe:
            pipe.incr(key + "t").set(key + "b", value).get(key + "b")
            must("transaction", pipe.execute(), [turn, True, value])
        must("script", script(keys=[key + "s"], args=[value]), [turn, value])
        client.lpush("list", value)
        client.publish("news", value)
        time.sleep(0.002)


@guarded
def consume():
    # The list is empty only when everybody has finished.
    while True:
        item = client.brpop("list", timeout=1)
        if item is not None:
            taken.append(item[1])
        elif over.is_set():
            return


@guarded
def listen():
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("news")
    pubsub.psubscribe("n?wspaper")
    while not over.is_set():
        message = pubsub.get_message(timeout=0.2)
        if message is not None:
            heard.append((time.monotonic(), message["data"]))


workers = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
others = [threading.Thread(target=consume), threading.Thread(target=listen)]
for thread in workers + others:
    thread.start()


@guarded
def finish():
    while not client.exists("stop"):
        time.sleep(0.02)
    asked = time.monotonic()
    over.set()
    for thread in workers + others:
        thread.join()
    pushed = [f"w{number}:{turn}" for number in range(WORKERS) for turn in range(1, rounds[number] + 1)]
    must("elements taken", sorted(taken), sorted(pushed))
    if not heard or heard[-1][0] < asked - 2:
        raise AssertionError("the subscriber does not hear any more")
    print(*rounds)


finish()
