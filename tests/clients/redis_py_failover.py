"""Writes numbers through failovers as an application would: retries a few times on errors that a retry can heal."""
import sys
import time

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError, ReadOnlyError, TimeoutError
from redis.retry import Retry

host, port, until = sys.argv[1], int(sys.argv[2]), sys.argv[3]
retry = Retry(ExponentialBackoff(cap=1, base=0.02), 10)
healing = [ConnectionError, TimeoutError, ReadOnlyError]
client = redis.Redis(host=host, port=port, retry=retry, retry_on_error=healing)

number = 0
while not client.exists(until):
    client.sadd("written", number)
    number += 1
    time.sleep(0.001)
print(number)
