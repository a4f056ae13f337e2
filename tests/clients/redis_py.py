"""What an application does with redis-py: strings, pipelines, transactions, publish and subscribe, blocking reads."""
import sys
import threading

import redis

host, port = sys.argv[1], int(sys.argv[2])
client = redis.Redis(host=host, port=port, decode_responses=True)

assert client.ping()
client.set("k", "v")
assert client.get("k") == "v"

with client.pipeline(transaction=False) as pipe:
    for number in range(5000):
        pipe.set(f"n:{number}", number)
    assert all(pipe.execute())
assert client.mget("n:0", "n:4999") == ["0", "4999"]
assert sum(1 for _ in client.scan_iter("n:*", count=500)) == 5000

with client.pipeline() as pipe:
    pipe.watch("k")
    pipe.multi()
    pipe.incr("counter")
    pipe.get("k")
    assert pipe.execute() == [1, "v"]

listener = client.pubsub(ignore_subscribe_messages=True)
listener.subscribe("news")
listener.get_message(timeout=5)
assert client.publish("news", "hello") == 1
message = None
while message is None:
    message = listener.get_message(timeout=5)
assert message["data"] == "hello"

pusher = threading.Timer(0.2, lambda: client.rpush("queue", "job"))
pusher.start()
assert client.blpop("queue", timeout=10) == ("queue", "job")

script = client.register_script("return redis.call('GET', KEYS[1])")
assert script(keys=["k"]) == "v"

large = "x" * (4 << 20)
client.set("large", large)
assert client.get("large") == large
print("all well")
