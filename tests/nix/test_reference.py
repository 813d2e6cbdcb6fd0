"""The reference page of the modules' options."""

import unittest

import evaluation
import reference


class Reference(unittest.TestCase):
    def test_the_page_of_options_is_what_the_modules_say(self):
        self.assertTrue(reference.PAGE.read_text() == reference.page(), "write it anew: tests/nix/run --reference")

    def test_every_option_says_what_it_means(self):
        options = evaluation.call(evaluation.HERE / "options.nix")
        self.assertGreater(len(options), 100)
        self.assertEqual([], [option["name"] for option in options if not option["description"].strip().endswith((".", ":"))])
