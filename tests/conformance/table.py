"""The result as Markdown: one row for each way, then every test that differs or wavers, by name."""

from results import ABSENT, DIED, differences, named, unstable

REASON_MAX = 300


def span(values):
    """One figure where all runs agree, else from-to."""
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low}-{high}"


def cell(text):
    """Any text in one cell of a table."""
    flat = " ".join(str(text).split())
    if len(flat) > REASON_MAX:
        flat = flat[: REASON_MAX - 3] + "..."
    return flat.replace("|", "\\|")


def row(*cells):
    return "| " + " | ".join(cell(each) for each in cells) + " |"


def report(suite, heading, ways, seconds, exceptions):
    """`ways`: name -> its runs, direct among them. Gives the Markdown and the differences that nobody has named."""
    direct = ways["direct"]
    wavering = unstable(direct)
    lines = [heading, "", row("way", "runs", "passed", "failed", "skipped", "differ from direct", "seconds a run"), "|---" * 7 + "|"]
    found = []
    for way, runs in ways.items():
        differ = [] if way == "direct" else differences(direct, runs)
        found += [(way, each, named(each, suite, way, exceptions)) for each in differ]
        lines.append(
            row(
                way,
                len(runs),
                span([run.count("ok") for run in runs]),
                span([run.count("err", DIED) for run in runs]),
                span([run.count("skip", "ignore") for run in runs]),
                "-" if way == "direct" else len(differ),
                span([round(each) for each in seconds[way]]),
            )
        )
    if found:
        lines += ["", "Tests that differ:", "", row("way", "unit", "tests", "direct", "through", "why", "names"), "|---" * 7 + "|"]
    unnamed = [(way, each) for way, each, why in found if why is None]
    found, behind = without_those_behind(found)
    grouped = {}
    for way, each, why in found:
        said = why or f"not reviewed; the suite said: {each.reason or 'nothing'}"
        if missing := behind.get((way, each.unit)) if DIED in each.through else None:
            said += f" ({missing} tests behind it in its unit were not run)"
        grouped.setdefault((way, each.unit, each.direct, ", ".join(each.through), said), []).append(each.name)
    for (way, unit, was, does, said), names in grouped.items():
        lines.append(row(way, unit, len(names), was, does, said) + f" {'; '.join(names).replace('|', chr(92) + '|')} |")
    if wavering:
        lines += ["", "Not compared, because the direct runs do not agree:", "", row("unit", "test", "direct runs"), "|---" * 3 + "|"]
        lines += [row(key[0], key[1], ", ".join(outcomes)) for key, outcomes in wavering.items()]
    failing = sorted({key for run in direct for key, outcome in run.outcomes.items() if outcome not in ("ok", "skip", "ignore", ABSENT)})
    failing = [key for key in failing if key not in wavering]
    if failing:
        lines += ["", "Fail direct too, so that they say nothing about mainstay:", "", row("unit", "test", "the suite said"), "|---" * 3 + "|"]
        lines += [row(key[0], key[1], next((run.reasons.get(key) for run in direct), "")) for key in failing]
    seen = {(way, each.unit, each.name) for way, each, _ in found}
    mine = [entry for entry in exceptions if entry["suite"] == suite]
    named_tests = {(way, each["unit"], test) for each in mine for way in each["ways"] if way in ways for test in each["tests"]}
    ran = {unit for run in direct for unit in run.started}
    if idle := sorted(each for each in named_tests - seen if each[1] in ran):
        lines += ["", "Named in differences.toml, but did not differ: " + "; ".join(" ".join(each) for each in idle)]
    return "\n".join(lines) + "\n", unnamed


def without_those_behind(found):
    """Where the suite broke off in a unit, the tests behind are missing by necessity: gives the rest, and how many they were."""
    broken = {(way, each.unit) for way, each, _ in found if DIED in each.through}
    rest, behind = [], {}
    for way, each, why in found:
        if (way, each.unit) in broken and set(each.through) <= {ABSENT, each.direct}:
            behind[way, each.unit] = behind.get((way, each.unit), 0) + 1
        else:
            rest.append((way, each, why))
    return rest, behind
