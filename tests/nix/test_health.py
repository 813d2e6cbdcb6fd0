"""The look at a host's services: modules/platform/health.sh before real ones."""

import pathlib
import socket
import subprocess
import tempfile
import threading
import unittest

import evaluation

SCRIPT = evaluation.ROOT / "modules" / "platform" / "health.sh"


def greeter(greeting):
    """A port of this machine that greets so, once."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, listener.accept()[0] as connection:
            connection.sendall(greeting)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


class Health(unittest.TestCase):
    def looked(self, *lines):
        """What the script tells monitoring of these services."""
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            (scratch / "table").write_text("# a comment\n" + "".join(line + "\n" for line in lines))
            subprocess.run(["bash", SCRIPT, scratch / "table", scratch], check=True)
            self.assertEqual(["health.prom", "table"], sorted(file.name for file in scratch.iterdir()))
            return dict(line.rsplit(" ", 1) for line in (scratch / "health.prom").read_text().splitlines())

    def test_a_service_answers_that_greets_as_it_should(self):
        port = greeter(b"220 mx.example ESMTP\r\n")
        self.assertEqual({'chasqui_service_answers{service="mx"}': "1"}, self.looked(f"mx|127.0.0.1|{port}|220 "))

    def test_a_service_that_greets_otherwise_or_not_at_all_does_not_answer(self):
        busy = greeter(b"421 too many connections\r\n")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            closed = listener.getsockname()[1]
        found = self.looked(f"mx|127.0.0.1|{busy}|220 ", f"gone|127.0.0.1|{closed}|", f"also|127.0.0.1|{closed}|* OK")
        self.assertEqual(["0", "0", "0"], list(found.values()), found)

    def test_a_service_without_a_greeting_answers_by_taking_the_connection(self):
        port = greeter(b"")
        self.assertEqual({'chasqui_service_answers{service="imaps"}': "1"}, self.looked(f"imaps|127.0.0.1|{port}|"))
