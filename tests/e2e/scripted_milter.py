#!/usr/bin/python3
"""A milter whose doings the subject of a message asks for. Usage: milter.py inet:PORT@HOST SEEN-FILE"""

import sys
import time

import Milter


class Filter(Milter.Base):
    def __init__(self):
        self.subject, self.fields = "", []

    def note(self, text):
        with open(sys.argv[2], "a", encoding="utf-8") as seen:
            seen.write(text + "\n")

    def connect(self, name, family, address):
        self.note(f"connect {name} {address[0]} {self.getsymval('j')}")
        return Milter.CONTINUE

    def hello(self, name):
        self.note(f"hello {name}")
        return Milter.CONTINUE

    def envfrom(self, sender, *parameters):
        self.subject, self.fields, self.body_text = "", [], b""
        self.note(f"mail {sender} {' '.join(parameters)} id={bool(self.getsymval('i'))}")
        if "rechazado" in sender:
            self.setreply("550", "5.7.1", "El milter no quiere a este remitente")
            return Milter.REJECT
        return Milter.CONTINUE

    def envrcpt(self, recipient, *parameters):
        self.note(f"rcpt {recipient}")
        return Milter.TEMPFAIL if "milter-luego" in recipient else Milter.CONTINUE

    def header(self, name, value):
        self.fields.append(name)
        if name == "Subject":
            self.subject = value
        return Milter.CONTINUE

    def eoh(self):
        self.note(f"headers {' '.join(self.fields)}")
        return Milter.REJECT if "en la cabecera" in self.subject else Milter.CONTINUE

    def body(self, text):
        self.body_text += text
        return Milter.CONTINUE

    def eom(self):
        self.note(f"body {len(self.body_text)}")
        subject = self.subject
        if "cuelga" in subject:
            time.sleep(60)
        if "muere" in subject:
            sys.exit(1)
        if "rechaza" in subject:
            self.setreply("554", "5.7.1", "100%% no", "de verdad")
            return Milter.REJECT
        if "cuarentena" in subject:
            self.quarantine("sospechoso")
        if "descarta" in subject:
            return Milter.DISCARD
        if "cambia" in subject:
            self.progress()
            self.addheader("X-Milter", "al final\n\tplegado")
            self.addheader("X-Milter-First", "primero", 0)
            self.chgheader("Subject", 0, "otro asunto")
            self.chgheader("X-Quitar", 1, "")
            self.replacebody(b"otro cuerpo\r\n" * 20_000)
        return Milter.ACCEPT

    def abort(self):
        self.note("abort")
        return Milter.CONTINUE

    def close(self):
        self.note("close")
        return Milter.CONTINUE


Milter.factory = Filter
Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS | Milter.CHGBODY | Milter.QUARANTINE)
Milter.runmilter("prueba", sys.argv[1], 30)
