"""A small runner over unittest: tests are sentences, each with its time; the last line counts them.

A program that a test needs and that is not installed skips the test with that reason, except in continuous
integration (CI=true), where it fails.
"""

import argparse
import faulthandler
import os
import pathlib
import shutil
import sys
import time
import unittest

from . import site


def need(*programs):
    """Skips the test when a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            if os.environ.get("CI") == "true":
                raise AssertionError(f"{program} is not installed")
            raise unittest.SkipTest(f"{program} is not installed (tests/packages e2e)")


class _Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = 0
        self.reasons = []
        self.bad = []

    def startTest(self, test):
        super().startTest(test)
        self.begun = time.monotonic()
        if os.environ.get("CHASQUI_TEST_VERBOSE"):
            print(f"  …     {sentence(test)}", flush=True)

    def addSuccess(self, test):
        self.passed += 1
        self._say("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.reasons.append(f"{sentence(test)}: {reason}")
        self._say("skip", test, reason)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._bad(test, self.failures[-1][1])

    def addError(self, test, error):
        super().addError(test, error)
        self._bad(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._bad(subtest, (self.failures or self.errors)[-1][1])

    def _bad(self, test, text):
        self.bad.append(sentence(test))
        self._say("FAILED", test)
        print("          " + text.strip().replace("\n", "\n          "), flush=True)

    def _say(self, outcome, test, reason=""):
        took = time.monotonic() - getattr(self, "begun", time.monotonic())
        print(f"  {outcome:6} {took:6.2f} s  {sentence(test)}{': ' + reason if reason else ''}", flush=True)


def sentence(test):
    """`test_mail_for_ana_arrives` → "mail for ana arrives"."""
    part = ""
    if hasattr(test, "test_case"):
        test, part = test.test_case, f" {test._subDescription()}"
    return (getattr(test, "_testMethodName", str(test)) + part).removeprefix("test_").replace("_", " ")


def main(folder, description, options=()):
    """Runs the `test_*.py` files of a folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binary", default=os.environ.get("CHASQUI_BINARY", "target/release/chasqui"))
    parser.add_argument("words", nargs="*", help="run only tests whose file, class or name contains one of these")
    for name, settings in options:
        parser.add_argument(name, **settings)
    arguments = parser.parse_args()
    site.use_binary(arguments.binary)
    faulthandler.enable()

    try:
        return run(pathlib.Path(folder), arguments)
    finally:
        site.clean_up()


def run(folder, arguments):
    """Runs what the arguments choose and prints the outcome."""
    sys.path.insert(0, str(folder))
    result = _Result()
    begun = time.monotonic()
    for file in sorted(folder.glob("test_*.py")):
        module = __import__(file.stem)
        if hasattr(module, "configure"):
            module.configure(arguments)
        tests = [
            test
            for group in unittest.defaultTestLoader.loadTestsFromModule(module)
            for test in group
            if not arguments.words or any(word in test.id() or word in sentence(test) for word in arguments.words)
        ]
        if tests:
            print(f"\n{(module.__doc__ or file.stem).strip().splitlines()[0]}", flush=True)
            unittest.TestSuite(tests).run(result)
    for reason in result.reasons:
        print(f"skipped: {reason}")
    for name in result.bad:
        print(f"failed: {name}")
    print(f"{time.monotonic() - begun:.0f} s")
    print(f"{result.passed} passed, {len(result.bad)} failed, {len(result.skipped)} skipped")
    return 0 if not result.bad and result.passed else 1
