"""A stand-in for NixOS' test driver: it knows the methods and their arguments, and every command succeeds with nothing to say."""

import contextlib


class Machine:
    """What a script may do with a machine. Only methods that NixOS' driver has, with its names of arguments."""

    def __init__(self, name, calls):
        self.name = name
        self._calls = calls

    def _called(self, *commands):
        for command in commands:
            if not isinstance(command, str):
                raise TypeError(f"{self.name}: {command!r} is no command")
        self._calls.append((self.name, *commands))
        return ""

    def start(self, allow_reboot=False):
        self._called()

    def crash(self):
        self._called()

    def shutdown(self):
        self._called()

    def block(self):
        self._called()

    def unblock(self):
        self._called()

    def sleep(self, secs):
        self._called(f"{secs:d}")

    def succeed(self, *commands, timeout=None):
        return self._called(*commands)

    def fail(self, *commands, timeout=None):
        return self._called(*commands)

    def execute(self, command, check_return=True, check_output=True, timeout=900):
        return 0, self._called(command)

    def wait_until_succeeds(self, command, timeout=900):
        return self._called(command)

    def wait_until_fails(self, command, timeout=900):
        return self._called(command)

    def wait_for_unit(self, unit, user=None, timeout=900):
        self._called(unit)

    def wait_for_open_port(self, port, addr="localhost", timeout=900):
        self._called(f"{port:d}")

    def wait_for_file(self, filename, timeout=900):
        self._called(filename)


def play(code, names):
    """Runs a compiled script with machines of these names; gives how often it called one."""
    calls = []
    machines = {name.replace("-", "_"): Machine(name, calls) for name in names}

    @contextlib.contextmanager
    def subtest(name):
        calls.append(("subtest", name))
        yield

    def start_all():
        for machine in machines.values():
            machine.start()

    exec(code, {"__name__": "__main__", "start_all": start_all, "subtest": subtest, **machines})  # noqa: S102
    return len(calls)
