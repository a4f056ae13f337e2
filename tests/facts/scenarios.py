"""The scenarios of promotions, planned and not; those of ids that change and of restarts are in restarts.py. A function's docstring
becomes the `about` of its recording.

a is the primary at the start. `begin` starts the observer; what went before is not recorded. Notes mark the phases: a test that
replays a recording asks what was decided before each note and at the end.
"""

from stage import go_on, stop

ALL = {}
LOOK = 0.8
"""Seconds to look on after each step: several checks at the pace of a test."""


def scenario(play):
    ALL[play.__name__] = play
    return play


def promote(stage, name):
    stage.do("REPLICAOF NO ONE to %s" % name, stage.servers[name], "REPLICAOF", "NO", "ONE")


def follow(stage, name, master):
    stage.do("REPLICAOF %s to %s" % (master, name), stage.servers[name], "REPLICAOF", "127.0.0.1", stage.servers[master].port)


def kill(stage, name):
    with stage.doing("%s killed with kill -9" % name):
        stage.servers[name].kill()


def failover(stage, present, name, *options):
    """The address of `name` goes into the command, its name into the note."""
    listed = "port=%d,state=online" % stage.servers[name].port
    stage.until("%s is listed" % name, lambda: any(listed in value for value in stage.servers[present].info().values()))
    words = ["TO", "127.0.0.1", stage.servers[name].port, *options]
    stage.do(" ".join(["FAILOVER TO", name, *map(str, options)]), stage.servers[present], "FAILOVER", *words)


# Planned.

@scenario
def failover_chain(stage):
    """FAILOVER from a to b, from b to c and from c back to a, each with writers active. Each process goes on through all roles."""
    stage.primary_with("b", "c")
    with stage.writing("a", "b", "c"):
        stage.begin()
        for present, name, other in (("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")):
            failover(stage, present, name)
            stage.role(name, "master")
            stage.role(present, "slave")
            stage.look(LOOK)
            # FAILOVER leaves the third where it was: behind the old primary, which is a replica now.
            follow(stage, other, name)
            stage.until("%s follows" % other, lambda: stage.servers[other].info()["master_link_status"] == "up")
            stage.look(LOOK)


@scenario
def replicaof_by_hand(stage):
    """A planned change without FAILOVER: b is promoted, then the old primary a is made its replica, then c."""
    stage.primary_with("b", "c")
    stage.begin()
    promote(stage, "b")
    stage.look(0.4)
    follow(stage, "a", "b")
    stage.look(0.4)
    follow(stage, "c", "b")
    stage.in_step("b", "a", "c")
    stage.look(LOOK)


@scenario
def failover_timed_out(stage):
    """FAILOVER to a replica that is stopped and behind, with TIMEOUT: a pauses writes, gives up and stays primary. Then b goes on."""
    _, b = stage.primary_with("b")
    stage.begin()
    with stage.doing("b stopped with SIGSTOP, 50 writes to a"):
        stop(b)
        stage.write("a", 50)
    failover(stage, "a", "b", "TIMEOUT", 1000)
    stage.until("a has given up", lambda: stage.servers["a"].info()["master_failover_state"] == "no-failover")
    stage.look(LOOK)
    with stage.doing("b continued"):
        go_on(b)
    stage.in_step("a", "b")
    stage.look(LOOK)


@scenario
def failover_aborted(stage):
    """FAILOVER to a replica that is stopped and behind, then FAILOVER ABORT: a stays primary throughout. Then b goes on."""
    a, b = stage.primary_with("b")
    stage.begin()
    with stage.doing("b stopped with SIGSTOP, 50 writes to a"):
        stop(b)
        stage.write("a", 50)
    failover(stage, "a", "b")
    stage.look(LOOK)
    stage.do("FAILOVER ABORT to a", a, "FAILOVER", "ABORT")
    stage.look(LOOK)
    with stage.doing("b continued"):
        go_on(b)
    stage.in_step("a", "b")
    stage.look(LOOK)


@scenario
def failover_forced_onto_stopped(stage):
    """FAILOVER ... FORCE onto a replica that is stopped and 20 MB behind: a demotes itself and waits. When b goes on it reads what the
    kernel held for it, takes over, and the rest of the writes is lost."""
    _, b = stage.primary_with("b")
    stage.begin()
    with stage.doing("b stopped with SIGSTOP, 20 MB written to a"):
        stop(b)
        stage.write("a", 400, 50_000)
    failover(stage, "a", "b", "TIMEOUT", 500, "FORCE")
    stage.role("a", "slave")
    stage.look(2 * LOOK)
    with stage.doing("b continued"):
        go_on(b)
    stage.role("b", "master")
    stage.in_step("b", "a")
    stage.look(LOOK)


@scenario
def failover_forced_then_aborted(stage):
    """FAILOVER ... FORCE onto a stopped replica, then FAILOVER ABORT: a was a replica of nobody for a while and is primary again,
    the same process. Then b goes on."""
    a, b = stage.primary_with("b")
    stage.begin()
    with stage.doing("b stopped with SIGSTOP, 50 writes to a"):
        stop(b)
        stage.write("a", 50)
    failover(stage, "a", "b", "TIMEOUT", 500, "FORCE")
    stage.role("a", "slave")
    stage.look(LOOK)
    stage.do("FAILOVER ABORT to a", a, "FAILOVER", "ABORT")
    stage.look(LOOK)
    with stage.doing("b continued"):
        go_on(b)
    stage.look(2 * LOOK)


@scenario
def sentinel_planned(stage):
    """SENTINEL FAILOVER, one Sentinel: it promotes b or c and makes the others its replicas, a last."""
    a, b, c = stage.primary_with("b", "c", options=("--replica-priority", "50"))
    c.call("CONFIG", "SET", "replica-priority", "100")
    sentinel = stage.sentinel(a)
    stage.until("the Sentinel knows both replicas", lambda: len(sentinel.call("SENTINEL", "REPLICAS", "group")) == 2)
    stage.begin()
    stage.do("SENTINEL FAILOVER", sentinel, "SENTINEL", "FAILOVER", "group")
    stage.role("b", "master")
    stage.in_step("b", "a", "c")
    stage.look(LOOK)


@scenario
def sentinel_crash(stage):
    """kill -9 of a under one Sentinel (down after 2 s): it promotes b. a comes back as master without data; the Sentinel makes it a
    replica some 10 s later."""
    a, b, c = stage.primary_with("b", "c", options=("--replica-priority", "50"))
    c.call("CONFIG", "SET", "replica-priority", "100")
    sentinel = stage.sentinel(a)
    stage.until("the Sentinel knows both replicas", lambda: len(sentinel.call("SENTINEL", "REPLICAS", "group")) == 2)
    stage.begin()
    kill(stage, "a")
    stage.role("b", "master")
    stage.in_step("b", "c")
    stage.look(LOOK)
    with stage.doing("a started as master without RDB"):
        a.start()
    stage.until("the Sentinel has made a a replica", lambda: a.info()["role"] == "slave", 40)
    stage.in_step("b", "a", "c")
    stage.look(LOOK)


# Promotions beside a living primary.

@scenario
def promoted_beside_living(stage):
    """b is promoted while a lives, and both are written to. c stays with a for a while, then follows b. Then b is made a replica of a
    again: what it had taken is lost."""
    stage.primary_with("b", "c")
    with stage.writing("a", "b"):
        stage.begin()
        promote(stage, "b")
        stage.look(LOOK)
        follow(stage, "c", "b")
        stage.until("c follows b", lambda: stage.servers["c"].info()["master_link_status"] == "up")
        stage.look(LOOK)
        follow(stage, "b", "a")
        stage.until("b follows a", lambda: stage.servers["b"].info()["master_link_status"] == "up")
        stage.look(LOOK)


@scenario
def two_promoted_beside_living(stage):
    """b and c are promoted at the same moment while a lives: siblings, both with a's id as replid2. Then a dies."""
    _, b, c = stage.primary_with("b", "c")
    with stage.writing("a"):
        stage.begin()
        with stage.doing("REPLICAOF NO ONE to b and c"):
            b.call("REPLICAOF", "NO", "ONE")
            c.call("REPLICAOF", "NO", "ONE")
        stage.look(2 * LOOK)
    kill(stage, "a")
    stage.look(2 * LOOK)


@scenario
def promoted_one_after_the_other(stage):
    """b is promoted while a lives, and c, which still followed a, a second later: siblings again, but b came first."""
    stage.primary_with("b", "c")
    stage.begin()
    promote(stage, "b")
    stage.look(LOOK)
    promote(stage, "c")
    stage.look(2 * LOOK)


@scenario
def promoted_far_behind(stage):
    """b loses its link to a, misses 3 MB, and is promoted while a lives; c is in step. Then a dies."""
    a, *_ = stage.primary_with("c")
    link = stage.link(a)
    stage.server("b", replica_of=link)
    stage.in_step("a", "b")
    stage.begin()
    with stage.doing("the link from b to a cut, 3 MB written to a"):
        link.cut()
        stage.write("a", 300, 10_000)
    stage.in_step("a", "c")
    stage.look(LOOK)
    promote(stage, "b")
    stage.look(2 * LOOK)
    kill(stage, "a")
    stage.look(2 * LOOK)


@scenario
def promoted_with_priority_zero(stage):
    """b, whose replica-priority is 0 (never to be promoted), is promoted while a lives."""
    _, b = stage.primary_with("b")
    b.call("CONFIG", "SET", "replica-priority", "0")
    stage.begin()
    promote(stage, "b")
    stage.look(2 * LOOK)


@scenario
def crash_and_promotion_by_hand(stage):
    """kill -9 of a, two seconds later b is promoted and c made its replica; a comes back as a replica of b."""
    a, b, _ = stage.primary_with("b", "c")
    with stage.writing("a"):
        stage.begin()
        kill(stage, "a")
    stage.look(2 * LOOK)
    promote(stage, "b")
    stage.look(LOOK)
    follow(stage, "c", "b")
    stage.in_step("b", "c")
    stage.look(LOOK)
    with stage.doing("a started as replica of b"):
        a.start(replica_of=b)
    stage.in_step("b", "a", "c")
    stage.look(LOOK)


@scenario
def primary_stopped_and_back(stage):
    """a is stopped with SIGSTOP, b is promoted, a goes on and still says role:master with its old id."""
    a, *_ = stage.primary_with("b", "c")
    stage.begin()
    with stage.doing("a stopped with SIGSTOP"):
        stop(a)
    stage.look(2 * LOOK)
    promote(stage, "b")
    stage.look(2 * LOOK)
    with stage.doing("a continued"):
        go_on(a)
    stage.look(2 * LOOK)
    follow(stage, "a", "b")
    follow(stage, "c", "b")
    stage.in_step("b", "a", "c")
    stage.look(LOOK)


@scenario
def chained_replica(stage):
    """c is a replica of b, and b of a: all carry one id. a dies and b is promoted: c follows it into the new id without a resync. Then c
    is promoted beside b."""
    a = stage.server("a")
    b = stage.server("b", replica_of=a)
    stage.server("c", replica_of=b)
    stage.write("a", 20)
    stage.in_step("a", "b")
    stage.until("c in step", lambda: stage.servers["c"].info()["master_link_status"] == "up")
    stage.begin()
    kill(stage, "a")
    stage.look(LOOK)
    promote(stage, "b")
    stage.in_step("b", "c")
    stage.look(LOOK)
    promote(stage, "c")
    stage.look(2 * LOOK)


@scenario
def successor_resynced(stage):
    """Tiny backlog. b is promoted while a lives and both are written to, so that a and c need a full resync from b. Then b in turn fully
    resyncs from c after c was promoted, and c is primary of b's lineage."""
    stage.primary_with("b", "c", options=("--repl-backlog-size", "16384"))
    stage.begin()
    promote(stage, "b")
    stage.write("a", 100, 1000)
    stage.write("b", 100, 1000)
    stage.look(LOOK)
    follow(stage, "a", "b")
    follow(stage, "c", "b")
    stage.in_step("b", "a", "c")
    stage.look(LOOK)
    promote(stage, "c")
    stage.write("b", 100, 1000)
    stage.write("c", 100, 1000)
    stage.look(LOOK)
    follow(stage, "b", "c")
    follow(stage, "a", "c")
    stage.in_step("c", "a", "b")
    stage.look(LOOK)
