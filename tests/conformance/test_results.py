"""The runner's own reading and comparing, on output as the suites print it. No server is needed."""

import sys
import unittest

sys.dont_write_bytecode = True

import results
import table

DIRECT = """Starting test server at port 21079
[ready]: 10379
\x1b[1;37;49mTesting unit/multi\x1b[0m
[\x1b[0;32;49mok\x1b[0m]: MULTI where commands alter argc/argv (1 ms)
[\x1b[0;32;49mok\x1b[0m]: twice (12 ms)
[\x1b[0;32;49mok\x1b[0m]: twice (3 ms)
[\x1b[0;36;49mignore\x1b[0m]: slow one: Tag: slow denied
[1/2 \x1b[0;33;49mdone\x1b[0m]: unit/multi (1 seconds)
\x1b[1;37;49mTesting unit/type/list\x1b[0m
[\x1b[0;31;49merr\x1b[0m]: LPOS in order in tests/unit/type/list.tcl
Expected '1' to be equal to '2'
  (context: type eval line 3)
[2/2 \x1b[0;33;49mdone\x1b[0m]: unit/type/list (0 seconds)

                   The End

!!! WARNING The following tests failed:

*** [\x1b[0;31;49merr\x1b[0m]: LPOS in order in tests/unit/type/list.tcl
Expected '1' to be equal to '2'
"""

BROKEN_OFF = """Testing unit/multi
[ok]: MULTI where commands alter argc/argv (1 ms)
[TIMEOUT]: clients state report follows.
sock5590 => (IN PROGRESS) twice
Testing unit/type/list
[1/1 done]: unit/type/list (0 seconds)
"""


def of(*outcomes):
    """Runs of one test each."""
    return [results.Run(outcomes={("unit/x", "test", 1): outcome}, started=["unit/x"]) for outcome in outcomes]


class Reading(unittest.TestCase):
    def test_every_test_is_read_with_its_unit_its_name_and_which_of_its_name_it_is(self):
        run = results.parse(DIRECT)
        self.assertEqual(
            run.outcomes,
            {
                ("unit/multi", "MULTI where commands alter argc/argv", 1): "ok",
                ("unit/multi", "twice", 1): "ok",
                ("unit/multi", "twice", 2): "ok",
                ("unit/multi", "slow one: Tag: slow denied", 1): "ignore",
                ("unit/type/list", "LPOS in order", 1): "err",
            },
        )
        self.assertEqual(run.done, ["unit/multi", "unit/type/list"])

    def test_a_failure_keeps_what_the_suite_said_of_it(self):
        said = results.parse(DIRECT).reasons["unit/type/list", "LPOS in order", 1]
        self.assertEqual(said, "Expected '1' to be equal to '2' (context: type eval line 3)")

    def test_a_test_in_which_the_suite_broke_off_has_died(self):
        run = results.parse(BROKEN_OFF)
        self.assertEqual(run.outcomes["unit/multi", "twice", 1], "died")
        self.assertEqual(run.count("died"), 1)

    def test_an_error_outside_of_any_test_is_a_failure_too(self):
        run = results.parse("Testing unit/x\n[err]: ld not open\n  while executing\n[1/1 done]: unit/x (0 seconds)\n")
        self.assertEqual(run.outcomes, {("unit/x", "(outside of a test)", 1): "err"})


class Comparing(unittest.TestCase):
    def test_equal_runs_do_not_differ(self):
        self.assertEqual(results.differences(of("ok", "ok"), of("ok", "ok")), [])

    def test_one_other_outcome_in_one_run_is_a_difference(self):
        (found,) = results.differences(of("ok", "ok", "ok"), of("ok", "err", "ok"))
        self.assertEqual((found.direct, found.through), ("ok", ["ok", "err", "ok"]))

    def test_a_test_that_is_missing_on_one_side_is_a_difference(self):
        (found,) = results.differences(of("ok"), [results.Run()])
        self.assertEqual(found.through, ["absent"])
        (found,) = results.differences([results.Run()], of("ok"))
        self.assertEqual(found.direct, "absent")

    def test_a_test_that_wavers_direct_is_named_and_not_compared(self):
        direct = of("ok", "err", "ok")
        self.assertEqual(list(results.unstable(direct)), [("unit/x", "test", 1)])
        self.assertEqual(results.differences(direct, of("err", "err", "err")), [])


class Reporting(unittest.TestCase):
    def report(self, through, exceptions=()):
        ways = {"direct": of("ok", "ok"), "tcp": through}
        return table.report("redis", "heading", ways, {"direct": [1, 2], "tcp": [3, 3]}, list(exceptions))

    def test_what_nobody_named_is_handed_back(self):
        text, unnamed = self.report(of("ok", "err"))
        self.assertEqual([(way, each.name) for way, each in unnamed], [("tcp", "test")])
        self.assertIn("| tcp | unit/x | 1 | ok | ok, err | not reviewed; the suite said: nothing | test |", text)

    def test_what_is_named_stands_in_the_table_with_its_reason(self):
        entry = {"suite": "redis", "ways": ["tcp"], "unit": "unit/x", "tests": ["test"], "reason": "one client more"}
        text, unnamed = self.report(of("err", "err"), [entry])
        self.assertEqual(unnamed, [])
        self.assertIn("one client more", text)

    def test_a_name_that_is_no_longer_needed_is_pointed_out(self):
        entry = {"suite": "redis", "ways": ["tcp"], "unit": "unit/x", "tests": ["test"], "reason": "one client more"}
        self.assertIn("did not differ: tcp unit/x test", self.report(of("ok", "ok"), [entry])[0])

    def test_no_text_of_the_suite_breaks_the_table(self):
        self.assertEqual(table.cell("a|b\nc"), "a\\|b c")


if __name__ == "__main__":
    unittest.main()
