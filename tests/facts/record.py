#!/usr/bin/env python3
"""Plays replication scenarios on real Redis and writes down what INFO said: tests/facts/NAME.jsonl.

    tests/facts/record.py              all of them
    tests/facts/record.py --list       their names
    tests/facts/record.py NAME...      these

Needs redis-server 7 and redis-sentinel in the PATH, Python 3.9 and nothing else. README.md says what the recordings show.

A recording is not every observation: of each backend it has the first and the last one, every one that differs from the one
before in more than a counter, the one before such a change, and the last one before each note. Between two of them a backend
went on saying what it said. Ports and ids are renamed in order of appearance, so that recording again changes little: a listens
on 7001, b on 7002; replication ids read a001a001..., run ids b001b001...; an id of zeros stays what it is.
"""

import json
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
import restarts  # noqa: E402, F401 (adds its own to scenarios.ALL)
import scenarios  # noqa: E402
from stage import Stage, fields  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
COUNTERS = {"uptime_in_seconds", "slave_repl_offset", "slave_read_repl_offset", "master_repl_offset"}


def gist(entry):
    """What has to change for an observation to be kept."""
    if "info" not in entry:
        return entry["outcome"]
    facts = {}
    for key, value in fields(entry["info"]).items():
        if key in COUNTERS:
            continue
        if key == "total_net_repl_input_bytes":
            value = value != "0"
        elif key.startswith("db"):
            value = True
        elif re.match(r"slave\d", key):
            value = re.sub(r",offset=.*", "", value)
        facts[key] = value
    return facts


def thinned(entries):
    kept, last, skipped = [], {}, {}

    def keep(entry):
        skipped.pop(entry["backend"], None)
        last[entry["backend"]] = entry
        kept.append(entry)

    def keep_skipped():
        for entry in sorted(skipped.values(), key=entries.index):
            offset = [fields(one.get("info", "")).get("master_repl_offset") for one in (entry, last[entry["backend"]])]
            if offset[0] != offset[1]:
                keep(entry)

    for entry in entries:
        if "note" in entry:
            keep_skipped()
            kept.append(entry)
        elif entry["backend"] not in last or gist(entry) != gist(last[entry["backend"]]):
            if entry["backend"] in skipped:
                keep(skipped[entry["backend"]])
            keep(entry)
        else:
            skipped[entry["backend"]] = entry
    for entry in sorted(skipped.values(), key=entries.index):
        kept.append(entry)
    return sorted(kept, key=entries.index)


def renamed(entries, stage):
    ports = {}
    for number, server in enumerate(stage.servers.values()):
        ports[str(server.port)] = str(7001 + number)
    for link in stage.links:
        ports[str(link.port)] = ports[str(link.target.port)]
    ids = {"0" * 40: "0" * 40}
    counts = {"run_id": 0xB000, "replid": 0xA000}

    def new_id(match):
        kind = "run_id" if match[1] == "run_id:" else "replid"
        if match[2] not in ids:
            counts[kind] += 1
            ids[match[2]] = "%04x" % counts[kind] * 10
        return match[1] + ids[match[2]]

    for entry in entries:
        if "info" in entry:
            info = re.sub(r"(master_replid:|master_replid2:|run_id:)([0-9a-f]{40})", new_id, entry["info"])
            entry["info"] = re.sub(r"(master_port:|port=)(\d+)", lambda match: match[1] + ports.get(match[2], match[2]), info)
    return entries


def record(name, play):
    stage = Stage()
    try:
        play(stage)
        stage.ended.set()
        stage.observer.join()
        entries = renamed(thinned(stage.entries), stage)
    finally:
        stage.close()
    version = next(fields(entry["info"])["redis_version"] for entry in entries if "info" in entry)
    about = " ".join(play.__doc__.split())
    with open(os.path.join(HERE, name + ".jsonl"), "w") as file:
        for line in [{"scenario": name, "redis_version": version, "about": about}, *entries]:
            file.write(json.dumps(line) + "\n")
    print("%-44s %3d lines" % (name, len(entries) + 1), flush=True)


def main():
    if "--list" in sys.argv[1:]:
        print("\n".join(scenarios.ALL))
        return
    unknown = [name for name in sys.argv[1:] if name not in scenarios.ALL]
    if unknown:
        sys.exit("no such scenario: %s; --list shows them" % ", ".join(unknown))
    # SIGTERM ends the servers as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for name in sys.argv[1:] or scenarios.ALL:
            record(name, scenarios.ALL[name])
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
