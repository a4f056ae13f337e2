#!/usr/bin/env python3
"""Runs a server's own test suite direct and through mainstay, several times each way, and compares test by test.

    make conformance [SUITE=redis|valkey] [RUNS=3] [WAYS="direct tcp redis shared"] [UNITS="unit/multi ..."]

Exit status: 0 every test does through mainstay what it does direct, or its difference is named in differences.toml;
1 some test differs; 2 it could not be run.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from contextlib import ExitStack
from pathlib import Path

# Nothing but the sources lies beside the sources.
sys.dont_write_bytecode = True

import processes
import results
import sources
import table

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "target/conformance"
# What a listener is told for each way.
WAYS = {
    "direct": None,
    "tcp": 'mode = "tcp"',
    "redis": 'mode = "redis"',
    "shared": 'mode = "redis"\nshared_connections = true',
}
# A single test of the suite takes up to half a minute on a busy machine; nothing for this long is a hang.
PATIENCE_S = 150


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--suite", choices=sources.SUITES, default="redis")
    parser.add_argument("--runs", type=int, default=3, help="how often each way")
    parser.add_argument("--ways", default="direct tcp redis shared", help="what to run; what is left out is taken from the last time")
    parser.add_argument("--units", default="", help="only these units of the suite")
    parser.add_argument("--tags", default="-slow -needs:debug", help="as the suite's own --tags")
    parser.add_argument("--mainstay", type=Path, default=ROOT / "target/release/mainstay")
    parser.add_argument("--server", type=Path, help="another server under test")
    parser.add_argument("--source", type=Path, help="an unpacked source of the suite, instead of Debian's")
    parser.add_argument("--resume", action="store_true", help="do not repeat what the last call finished")
    asked = parser.parse_args()
    asked.ways = asked.ways.split()
    asked.units = asked.units.split()
    if strange := [way for way in asked.ways if way not in WAYS]:
        parser.error(f"no such way: {' '.join(strange)}; there are {', '.join(WAYS)}")
    if asked.runs < 1:
        parser.error("--runs: at least 1")
    return asked


def one_run(asked, binary, folder, way, units, left_out, output):
    """One run of all units into `output`. Where the suite breaks off, the units behind go on with fresh processes."""
    output.unlink(missing_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.touch()
    complaints, left = [], units
    while left:
        with tempfile.TemporaryDirectory(prefix="conformance-") as temporary, ExitStack() as stack:
            place = Path(temporary) / "server"
            address = stack.enter_context(processes.server(binary, place))
            proxy = None
            if WAYS[way]:
                proxy = stack.enter_context(processes.mainstay(asked.mainstay, WAYS[way], address, Path(temporary)))
                address = proxy.address
            processes.suite(folder, address, asked.tags, left, left_out, PATIENCE_S, output)
            if proxy:
                complaints += proxy.complaints()
                shutil.copy(proxy.log, output.with_suffix(".mainstay.log"))
        run = results.parse(output.read_text(errors="replace"))
        # Nothing started at all would go round for ever.
        begun = [unit for unit in left if unit in run.started]
        if not begun:
            raise sources.Missing(f"the suite does not start; see {output}")
        left = left[left.index(begun[-1]) + 1 :]
        if left:
            print(f"  the suite broke off in {begun[-1]}; going on with {left[0]}", flush=True)
    return complaints


def path_of(kept, way, number):
    return kept / f"{way}-{number}.txt"


def load(kept, way):
    """Every kept run of a way, and how long each took."""
    runs, seconds = [], []
    number = 1
    while (path := path_of(kept, way, number)).exists():
        runs.append(results.parse(path.read_text(errors="replace")))
        timed = path.with_suffix(".seconds")
        seconds.append(float(timed.read_text()) if timed.exists() else 0)
        number += 1
    return runs, seconds


def run_all(asked, binary, folder, units, exceptions, kept):
    for way in asked.ways if not asked.resume else []:
        for old in kept.glob(f"{way}-*"):
            old.unlink()
    for number in range(1, asked.runs + 1):
        for way in asked.ways:
            output = path_of(kept, way, number)
            if output.with_suffix(".seconds").exists():
                continue
            began = time.monotonic()
            left_out = results.not_run(asked.suite, way, exceptions)
            complaints = one_run(asked, binary, folder, way, units, left_out, output)
            took = time.monotonic() - began
            output.with_suffix(".seconds").write_text(f"{took:.1f}")
            run = results.parse(output.read_text(errors="replace"))
            counts = f"{run.count('ok')} passed, {run.count('err', 'died')} failed, {run.count('skip', 'ignore')} skipped"
            print(f"run {number} of {asked.runs}, {way}: {counts}, {took:.0f} s", flush=True)
            for line in complaints[:20]:
                print(f"  mainstay: {line}", flush=True)


def main():
    asked = arguments()
    # Ended from outside is ended in order: what was started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    CACHE.mkdir(parents=True, exist_ok=True)
    default_server, fetch = sources.SUITES[asked.suite](CACHE)
    binary = asked.server or default_server
    folder = asked.source.resolve() if asked.source else fetch()
    units = asked.units or sources.units(folder)
    named = asked.suite + ("-some" if asked.units else "")
    kept = CACHE / f"runs-{named}"
    kept.mkdir(exist_ok=True)
    exceptions = tomllib.loads((Path(__file__).parent / "differences.toml").read_text()).get("differs", [])
    run_all(asked, binary, folder, units, exceptions, kept)

    ways, seconds = {}, {}
    for way in WAYS:
        runs, took = load(kept, way)
        if runs:
            ways[way], seconds[way] = runs, took
    if "direct" not in ways:
        raise sources.Missing("nothing to compare with: run the way direct as well")
    heading = f"{asked.suite} {sources.version(binary)}, its suite {sources.suite_version(folder)}, --tags \"{asked.tags}\""
    text, unnamed = table.report(asked.suite, heading, ways, seconds, exceptions)
    written = CACHE / ("table.md" if named == "redis" else f"table-{named}.md")
    written.write_text(text)
    print(f"\n{text}\n(also in {written.relative_to(ROOT)})")
    if unnamed:
        print(f"{len(unnamed)} differences are not named in tests/conformance/differences.toml")
    return 1 if unnamed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (sources.Missing, RuntimeError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        sys.exit(2)
