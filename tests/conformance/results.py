"""What a run of the suite said, test by test, and what differs between two ways to the server. Pure: text in, values out.

A test goes by its unit, its name, and how often this name came before in this unit: names are used more than once.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
STATUS = re.compile(r"^\[(ok|err|skip|ignore|exception)\]: (.*)$", re.DOTALL)
UNIT = re.compile(r"^Testing ((?:unit|integration)/\S+)$")
DONE = re.compile(r"^\[\d+/\d+ done\]: (\S+) \(\d+ seconds\)$")
IN_PROGRESS = re.compile(r"^\S+ => \(IN PROGRESS\) (.*)$")
ELAPSED = re.compile(r" \(\d+ ms\)$")
PLACE = re.compile(r"^(.*?) in tests/\S+\.tcl$")
# What the suite writes between two results, and what must not be taken for the rest of an error's text.
BETWEEN = re.compile(r"^(\[|Testing |\*\*\* |Waiting for |Cleanup: |!!! WARNING|Logged |\s*The End)")

# What a test did that has no line in a run: an earlier test skipped it, or the suite broke off.
ABSENT = "absent"
DIED = "died"


@dataclass
class Run:
    """One run of the suite, or of what was left after it broke off."""

    # (unit, name, which of its name) -> ok, err, skip, ignore or died
    outcomes: dict = field(default_factory=dict)
    # The same key -> what the suite said of the failure.
    reasons: dict = field(default_factory=dict)
    started: list = field(default_factory=list)
    done: list = field(default_factory=list)

    def count(self, *outcomes):
        return sum(1 for outcome in self.outcomes.values() if outcome in outcomes)


def parse(text):
    """The output of `runtest`, also of several one after the other."""
    run = Run()
    unit, seen, failing, doing = "", Counter(), None, None

    def note(name, outcome):
        seen[unit, name] += 1
        key = (unit, name, seen[unit, name])
        run.outcomes[key] = outcome
        return key

    def close(broken):
        """The unit ended; `broken`: without saying that it was done."""
        if broken and unit:
            run.reasons[note(doing or "(between two tests)", DIED)] = "the suite broke off here"

    for line in COLOURS.sub("", text).splitlines():
        if match := UNIT.match(line):
            close(bool(unit) and unit not in run.done)
            unit, failing, doing = match[1], None, None
            run.started.append(unit)
        elif match := DONE.match(line):
            run.done.append(match[1])
            failing = None
        elif match := IN_PROGRESS.match(line):
            doing = match[1]
        elif match := STATUS.match(line):
            status, said = match.groups()
            failing = None
            if status == "exception":
                doing = None
            elif status == "err":
                place = PLACE.match(said)
                # An error outside of any test has no name, and the suite cuts off the beginning of what it says.
                failing = note(place[1] if place else "(outside of a test)", "err")
                run.reasons[failing] = "" if place else said
            else:
                note(ELAPSED.sub("", said) if status == "ok" else said, status)
        elif failing and line.strip() and not BETWEEN.match(line):
            run.reasons[failing] = (run.reasons[failing] + " " + line.strip()).strip()
        elif BETWEEN.match(line):
            failing = None
    close(bool(unit) and unit not in run.done)
    return run


@dataclass
class Difference:
    """A test that did not do through mainstay what it does direct."""

    key: tuple
    direct: str
    # What it did in each run through mainstay.
    through: list
    # What the suite said of its last failure.
    reason: str

    @property
    def unit(self):
        return self.key[0]

    @property
    def name(self):
        return self.key[1]


def outcome_in(run, key):
    return run.outcomes.get(key, ABSENT)


def unstable(direct):
    """Tests that do not even agree with themselves: name -> what they did in each direct run."""
    keys = sorted({key for run in direct for key in run.outcomes})
    all_of = {key: [outcome_in(run, key) for run in direct] for key in keys}
    return {key: outcomes for key, outcomes in all_of.items() if len(set(outcomes)) > 1}


def differences(direct, through):
    """Every test, unstable ones aside, that did something else in at least one run through mainstay."""
    leave_out = unstable(direct)
    keys = sorted({key for run in direct + through for key in run.outcomes} - set(leave_out))
    found = []
    for key in keys:
        expected = outcome_in(direct[0], key)
        outcomes = [outcome_in(run, key) for run in through]
        if any(outcome != expected for outcome in outcomes):
            reasons = [run.reasons[key] for run in through if key in run.reasons]
            found.append(Difference(key, expected, outcomes, reasons[-1] if reasons else ""))
    return found


def named(difference, suite, way, exceptions):
    """The reviewed reason for this difference, or None."""
    for entry in exceptions:
        if entry["suite"] == suite and way in entry["ways"] and entry["unit"] == difference.unit and difference.name in entry["tests"]:
            return entry["reason"]
    return None


def not_run(suite, way, exceptions):
    """Names of the tests that are left out in this way, because what they do to the server spoils every test behind them."""
    left_out = [each for each in exceptions if each["suite"] == suite and way in each["ways"] and each.get("not_run")]
    return [test for each in left_out for test in each["tests"]]
