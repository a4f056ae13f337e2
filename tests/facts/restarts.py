"""The scenarios of ids that change, of restarts, and of what mainstay may find when it starts. See scenarios.py."""

from scenarios import LOOK, follow, kill, promote, scenario


# Ids that change.

@scenario
def id_changes_by_backlog_expiry(stage):
    """repl-backlog-ttl 1. The replicas leave, a second later a drops its backlog and takes a new replication id, the same process. Then
    the replicas come back."""
    a, b, c = stage.primary_with("b", "c", options=("--repl-backlog-ttl", "1"))
    stage.begin()
    before = a.info()["master_replid"]
    with stage.doing("b and c shut down"):
        b.shut_down()
        c.shut_down()
    stage.until("a has a new id", lambda: a.info()["master_replid"] != before)
    stage.look(LOOK)
    with stage.doing("b and c started as replicas of a"):
        b.start(replica_of=a)
        c.start(replica_of=a)
    stage.in_step("a", "b", "c")
    stage.look(LOOK)


@scenario
def promoted_then_old_id_expires(stage):
    """repl-backlog-ttl 1 and one replica. b is promoted while a lives; a, now without replicas, takes a new id a second later: b's
    replid2 names an id that a no longer carries."""
    a, _ = stage.primary_with("b", options=("--repl-backlog-ttl", "1"))
    before = a.info()["master_replid"]
    stage.begin()
    promote(stage, "b")
    stage.until("a has a new id", lambda: a.info()["master_replid"] != before)
    stage.look(LOOK)


@scenario
def id_changes_by_debug(stage):
    """DEBUG CHANGE-REPL-ID on a with its replicas linked: a takes a new id at once, b and c go on with the old one. Then b is promoted:
    its replid2 is a's former id."""
    a, *_ = stage.primary_with("b", "c")
    stage.begin()
    stage.do("DEBUG CHANGE-REPL-ID to a", a, "DEBUG", "CHANGE-REPL-ID")
    stage.look(LOOK)
    promote(stage, "b")
    stage.look(2 * LOOK)


# Restarts.

@scenario
def replica_restarted_as_master_from_rdb(stage):
    """b, a replica, is saved, shut down and started *as master*: from its RDB it shows a's id as replid2, though nobody promoted it.
    a lives. Then b is made a replica again."""
    _, b, _ = stage.primary_with("b", "c")
    stage.begin()
    with stage.doing("b shut down with its RDB saved"):
        b.shut_down("SAVE")
    stage.look(LOOK)
    with stage.doing("b started as master from its RDB"):
        b.start()
    stage.look(2 * LOOK)
    follow(stage, "b", "a")
    stage.in_step("a", "b")
    stage.look(LOOK)


@scenario
def replica_restarted_then_promoted(stage):
    """b, a replica, is saved, shut down and started as a replica; it resyncs partially and is promoted before a byte of the stream has
    reached it: a real promotion with total_net_repl_input_bytes 0."""
    options = ("--repl-ping-replica-period", "3600")
    a, b = stage.primary_with("b", options=options)
    stage.begin()
    with stage.doing("b shut down with its RDB saved"):
        b.shut_down("SAVE")
    stage.look(LOOK)
    with stage.doing("b started as replica of a from its RDB"):
        b.start(*options, replica_of=a)
    stage.in_step("a", "b")
    stage.look(LOOK)
    promote(stage, "b")
    stage.look(2 * LOOK)


@scenario
def old_primary_restarted_from_rdb(stage):
    """a saves and is killed, b is promoted and c follows it. Then a is started *as master from its RDB*: it shows its old id as replid2,
    as b does, and has taken no byte from anybody."""
    a, *_ = stage.primary_with("b", "c")
    a.call("SAVE")
    stage.begin()
    kill(stage, "a")
    stage.look(LOOK)
    promote(stage, "b")
    follow(stage, "c", "b")
    stage.in_step("b", "c")
    stage.look(LOOK)
    with stage.doing("a started as master from its RDB"):
        a.start()
    stage.look(2 * LOOK)
    follow(stage, "a", "b")
    stage.in_step("b", "a")
    stage.look(LOOK)


@scenario
def old_primary_restarted_empty(stage):
    """a is killed, b is promoted and c follows it. Then a is started as master without an RDB."""
    a, *_ = stage.primary_with("b", "c")
    stage.begin()
    kill(stage, "a")
    stage.look(LOOK)
    promote(stage, "b")
    follow(stage, "c", "b")
    stage.in_step("b", "c")
    stage.look(LOOK)
    with stage.doing("a started as master without RDB"):
        a.start()
    stage.look(2 * LOOK)


@scenario
def old_primary_back_first(stage):
    """a saves, is killed and is started as master from its RDB before anybody was promoted; then b is promoted beside it, though its
    link to a had come up again: b now succeeds a's *new* id."""
    a, *_ = stage.primary_with("b", "c")
    a.call("SAVE")
    stage.begin()
    kill(stage, "a")
    stage.look(LOOK)
    with stage.doing("a started as master from its RDB"):
        a.start()
    stage.in_step("a", "b", "c")
    stage.look(2 * LOOK)
    promote(stage, "b")
    stage.look(2 * LOOK)


@scenario
def primary_restarted_with_rdb(stage):
    """a, with two replicas, is shut down with its RDB saved and started again: a new id, the old one as replid2, offset and keys kept, and
    the replicas resync partially."""
    a, *_ = stage.primary_with("b", "c")
    stage.begin()
    with stage.doing("a shut down with its RDB saved"):
        a.shut_down("SAVE")
    stage.look(LOOK)
    with stage.doing("a started as master from its RDB"):
        a.start()
    stage.in_step("a", "b", "c")
    stage.look(2 * LOOK)


@scenario
def primary_restarted_without_rdb(stage):
    """a, with two replicas, is killed and started again without an RDB: a new id, offset and keys gone, and the replicas resync to
    nothing."""
    a, *_ = stage.primary_with("b", "c")
    stage.begin()
    kill(stage, "a")
    stage.look(LOOK)
    with stage.doing("a started as master without RDB"):
        a.start()
    stage.in_step("a", "b", "c")
    stage.look(2 * LOOK)


@scenario
def sole_primary_restarted_with_rdb(stage):
    """a, alone, is shut down with its RDB saved and started again: it never had a replica, so the RDB carries no id."""
    a, = stage.primary_with()
    stage.begin()
    with stage.doing("a shut down with its RDB saved"):
        a.shut_down("SAVE")
    stage.look(LOOK)
    with stage.doing("a started as master from its RDB"):
        a.start()
    stage.look(2 * LOOK)


@scenario
def sole_primary_restarted_without_rdb(stage):
    """a, alone, is killed and started again without an RDB."""
    a, = stage.primary_with()
    stage.begin()
    kill(stage, "a")
    stage.look(LOOK)
    with stage.doing("a started as master without RDB"):
        a.start()
    stage.look(2 * LOOK)


@scenario
def old_primary_restarted_from_aof(stage):
    """a, with appendonly yes, is killed; b is promoted; a is started as master from its AOF, which carries no id."""
    options = ("--appendonly", "yes")
    a, *_ = stage.primary_with("b", "c", options=options)
    stage.begin()
    kill(stage, "a")
    stage.look(LOOK)
    promote(stage, "b")
    follow(stage, "c", "b")
    stage.in_step("b", "c")
    stage.look(LOOK)
    with stage.doing("a started as master from its AOF"):
        a.start(*options)
    stage.look(2 * LOOK)


@scenario
def two_masters_from_the_start(stage):
    """a and b, strangers to each other, both say role:master from the first look; c follows a. Then c follows b."""
    stage.primary_with("c")
    stage.server("b")
    stage.write("b", 5)
    stage.begin()
    stage.look(LOOK)
    follow(stage, "c", "b")
    stage.in_step("b", "c")
    stage.look(2 * LOOK)


@scenario
def promoted_before_the_start(stage):
    """b was promoted beside a before the first look, by a real promotion; nobody follows either. mainstay never saw b as a replica."""
    stage.primary_with("b")
    stage.servers["b"].call("REPLICAOF", "NO", "ONE")
    stage.begin()
    stage.look(2 * LOOK)


@scenario
def restarted_from_rdb_before_the_start(stage):
    """b, a replica of a, was restarted as master from its RDB before the first look: it looks as in promoted_before_the_start but for
    total_net_repl_input_bytes."""
    _, b = stage.primary_with("b")
    b.shut_down("SAVE")
    b.start()
    stage.begin()
    stage.look(2 * LOOK)


@scenario
def loading_primary(stage):
    """a is shut down with its RDB saved and started again with key-load-delay, so that it loads for about two seconds; it says
    role:master and loading:1 meanwhile."""
    a, *_ = stage.primary_with("b")
    stage.write("a", 400)
    stage.in_step("a", "b")
    stage.begin()
    with stage.doing("a shut down with its RDB saved"):
        a.shut_down("SAVE")
    stage.look(0.4)
    with stage.doing("a started as master from its RDB, loading slowly"):
        a.start("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")
    stage.until("a has loaded", lambda: a.info()["loading"] == "0")
    stage.look(2 * LOOK)
