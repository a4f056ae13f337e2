"""Reads without a pause, and retries nothing, until a key appears: an error, or a value that is not the group's, ends it."""
import sys

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

host, port, until = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = redis.Redis(host=host, port=port, decode_responses=True, retry=Retry(NoBackoff(), 0), single_connection_client=True)

assert client.execute_command("READONLY")
try:
    client.set("written", 1)
    sys.exit("a reader could write")
except redis.exceptions.ReadOnlyError:
    pass

number = 0
print("reading", flush=True)
while not client.exists(until):
    assert client.get("whose") == "ours"
    pipe = client.pipeline(transaction=True)
    assert pipe.get("whose").strlen("whose").execute() == ["ours", 4]
    assert client.eval("return redis.call('GET', KEYS[1])", 1, "whose") == "ours"
    number += 1
print(number)
