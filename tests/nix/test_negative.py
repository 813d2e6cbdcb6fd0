"""What must be refused, and with which words."""

import functools
import pathlib
import re
import unittest

import evaluation

CASES = sorted((evaluation.HERE / "negative").glob("*.nix"))
ASSERTION = re.compile(r"\bassertion\s*=")


def one(file, number):
    """One case by itself, so that an error that ends the evaluation can be read."""
    return evaluation.call(evaluation.HERE / "negative.nix", file=file, only=number)


@functools.cache
def outcomes(file):
    """What Nix says to each case of a file."""
    file = pathlib.Path(file)
    try:
        found = evaluation.call(evaluation.HERE / "negative.nix", file=file)
    except evaluation.NixError:
        found = [None] * int(evaluation.nix("eval", "--impure", "--expr", count(file)))
    for number, case in enumerate(found):
        if case is None or case["refused"]:
            names = evaluation.nix("eval", "--raw", "--impure", "--expr", count(file, f"(builtins.elemAt cases {number})"))
            name, fails = names.split("\n", 1)
            try:
                found[number] = one(file, number)
            except evaluation.NixError as error:
                found[number] = {"messages": [str(error)], "positions": []}
            found[number] |= {"name": name, "fails": fails}
    return found


def count(file, case=None):
    """An expression for the number of cases in a file, or for the name and the wanted words of one."""
    call = f"import {evaluation.HERE / 'negative.nix'} {{ file = {file}; listed = true; }}"
    return f"let cases = {call}; in " + ("builtins.length cases" if case is None else f'"${{{case}.name}}\\n${{{case}.fails}}"')


class Negative(unittest.TestCase):
    maxDiff = None

    def test_each_wrong_site_or_option_is_refused_with_the_words_that_say_how_to_mend_it(self):
        for file in CASES:
            for case in outcomes(str(file)):
                with self.subTest(f"{file.stem}: {case['name']}"):
                    said = "\n".join(case["messages"])
                    self.assertIn(case["fails"], said, f"Nix said: {said or 'nothing'}")

    def test_each_assertion_of_the_modules_has_a_case_that_trips_it(self):
        modules = evaluation.ROOT / "modules"
        written = {
            f"{file.relative_to(evaluation.ROOT)}:{number}"
            for file in modules.rglob("*.nix")
            for number, line in enumerate(file.read_text().splitlines(), 1)
            if ASSERTION.search(line.split("#")[0])
        }
        tripped = {
            f"{pathlib.Path(position['file']).relative_to(evaluation.ROOT)}:{position['line']}"
            for file in CASES
            for case in outcomes(str(file))
            for position in case["positions"]
            if position
        }
        print(f"          {len(written)} assertions, {len(written & tripped)} tripped by {sum(len(outcomes(str(file))) for file in CASES)} cases")
        self.assertEqual([], sorted(written - tripped))
