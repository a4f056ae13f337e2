# A pool of redis-py connections with a user of mainstay's own: host, port, user, password.
import sys

import redis

host, port, user, password = sys.argv[1:]
protocols = [2, 3] if int(redis.__version__.split(".")[0]) >= 5 else [None]
for protocol in protocols:
    options = {} if protocol is None else {"protocol": protocol}
    client = redis.Redis(host=host, port=int(port), username=user, password=password, client_name="worker", **options)
    assert client.set("k", "v") and client.get("k") == b"v"
    assert client.client_getname() in ("worker", b"worker")
    pipe = client.pipeline()
    pipe.incr("n")
    pipe.incr("n")
    first, second = pipe.execute()
    assert second == first + 1
    pubsub = client.pubsub()
    pubsub.subscribe("c")
    assert pubsub.get_message(timeout=5)["type"] == "subscribe"
    client.publish("c", "hello")
    assert pubsub.get_message(timeout=5)["data"] == b"hello"
    pubsub.close()
    wrong = redis.Redis(host=host, port=int(port), username=user, password="wrong", **options)
    try:
        wrong.ping()
        sys.exit("a wrong password was taken")
    except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError):
        pass
    nobody = redis.Redis(host=host, port=int(port), **options)
    try:
        nobody.ping()
        sys.exit("nobody was let in")
    except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError):
        pass
print("fine")
