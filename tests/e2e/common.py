"""The site that most tests share, and accounts of their own on it."""

import time
import unittest

from harness.clients import address, without_trace
from harness.site import DOMAIN, PASSWORD, Site

_site = None
_accounts = iter(())
_batches = 0


def site():
    """The shared site, one process a role, with default settings."""
    global _site
    if _site is None:
        _site = Site().start()
    return _site


def account(node="storage1", quota=""):
    """A new account with an empty mailbox."""
    global _accounts
    if quota or node != "storage1":
        return _import([(node, quota)])[0]
    for name in _accounts:
        return name
    _accounts = iter(_import([("storage1", "")] * 30))
    return next(_accounts)


def _import(wanted):
    global _batches
    _batches += 1
    names = [f"cuenta{_batches}-{number}" for number in range(len(wanted))]
    lines = [f"{address(name)},{PASSWORD},{quota},{node}" for name, (node, quota) in zip(names, wanted)]
    site().run("user", "import", "-", input="address,password,quota,node\n" + "\n".join(lines) + "\n")
    time.sleep(1.0)  # the promise: every role sees it within one second
    return names


class Test(unittest.TestCase):
    """A test on the shared site."""

    maxDiff = 2000

    @property
    def site(self):
        return site()

    def assert_same_mail(self, found, sent):
        """The same messages, octet for octet, in whatever order."""
        self.assertEqual(sorted(map(without_trace, found)), sorted(sent))


__all__ = ["DOMAIN", "PASSWORD", "Test", "account", "address", "site"]
