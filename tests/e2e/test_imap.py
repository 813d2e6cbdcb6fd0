"""IMAP through the proxy: folders, flags, copies, moves, IDLE, quota."""

import imaplib
import time

from common import PASSWORD, Test, account, address
from harness.clients import Wire, contents, context, imap, message, ok, quoted, send, without_trace


class Session(Test):
    def setUp(self):
        self.name = account()

    def imap(self, **options):
        manager = imap(self.site, self.name, **options)
        client = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return client

    def wire(self, name=None):
        """A raw session over IMAPS, logged in."""
        wire = Wire(self.site.imaps, tls=context(self.site))
        self.addCleanup(wire.close)
        self.assertTrue(wire.greeting.startswith("* OK"), wire.greeting)
        self.assertTrue(wire.ask(f"LOGIN {address(name or self.name)} {PASSWORD}")[-1].startswith("OK"))
        return wire

    def folders(self, client):
        names = []
        for line in ok(client.list()):
            if line:
                names.append(line.decode().rsplit(' "/" ', 1)[1].strip('"'))
        return sorted(names)


class Capabilities(Session):
    def test_the_extensions_are_announced_after_the_log_in(self):
        client = self.imap()
        client._get_capabilities()
        wanted = {"IMAP4REV1", "IDLE", "NAMESPACE", "UIDPLUS", "MOVE", "UNSELECT", "SPECIAL-USE", "ID", "ENABLE", "SASL-IR", "QUOTA"}
        self.assertLessEqual(wanted, set(client.capabilities))
        self.assertTrue({"LITERAL+", "LITERAL-"} & set(client.capabilities))

    def test_starttls_on_the_plain_port_and_then_everything_works(self):
        client = self.imap(tls=False)
        ok(client.select("INBOX"))

    def test_id_namespace_enable_and_unselect_answer(self):
        wire = self.wire()
        self.assertTrue(any(line.startswith("* ID ") for line in wire.ask('ID ("name" "prueba")')))
        self.assertIn('* NAMESPACE (("" "/")) NIL NIL', wire.ask("NAMESPACE"))
        self.assertTrue(wire.ask("ENABLE UTF8=ACCEPT X-NADA")[-1].startswith("OK"))
        wire.ask("SELECT INBOX")
        self.assertTrue(wire.ask("UNSELECT")[-1].startswith("OK"))
        self.assertTrue(wire.ask("FETCH 1 FLAGS")[-1].startswith(("BAD", "NO")))


class Folders(Session):
    def test_folders_are_made_renamed_and_deleted(self):
        client = self.imap()
        for folder in ("Proyectos", "Proyectos/Agua", "Proyectos/Agua/2026", "con punto.y coma"):
            ok(client.create(quoted(folder)))
        self.assertLessEqual({"Proyectos", "Proyectos/Agua", "Proyectos/Agua/2026", "con punto.y coma"}, set(self.folders(client)))
        ok(client.append("Proyectos/Agua/2026", None, None, message()))
        ok(client.rename("Proyectos", "Archivo"))
        self.assertLessEqual({"Archivo", "Archivo/Agua", "Archivo/Agua/2026"}, set(self.folders(client)))
        self.assertNotIn("Proyectos", self.folders(client))
        self.assertEqual(len(contents(client, "Archivo/Agua/2026")), 1)
        client.unselect()
        ok(client.delete("Archivo/Agua/2026"))
        self.assertNotIn("Archivo/Agua/2026", self.folders(client))

    def test_names_in_modified_utf7_come_back_as_given(self):
        client = self.imap()
        for folder in ("Enviados &AOk-", "&AOE-rbol/&ZeVnLIqe-", "a&-b"):
            ok(client.create(quoted(folder)))
            self.assertIn(folder, self.folders(client))

    def test_what_exists_cannot_be_made_again_and_inbox_cannot_be_deleted(self):
        client = self.imap()
        ok(client.create("Una"))
        self.assertEqual(client.create("Una")[0], "NO")
        self.assertEqual(client.create("inbox")[0], "NO")
        self.assertEqual(client.delete("INBOX")[0], "NO")
        self.assertEqual(client.delete("Nunca")[0], "NO")
        self.assertEqual(client.select("Nunca")[0], "NO")
        self.assertEqual(client.rename("Nunca", "Otra")[0], "NO")

    def test_subscriptions_are_kept(self):
        client = self.imap()
        ok(client.create("Lista"))
        ok(client.subscribe("Lista"))
        with imap(self.site, self.name) as other:
            self.assertTrue(any(line.endswith(b"Lista") for line in ok(other.lsub())))
            ok(other.unsubscribe("Lista"))
            self.assertEqual([line for line in ok(other.lsub()) if line and b"Lista" in line], [])

    def test_renaming_inbox_moves_its_messages_and_leaves_it_empty(self):
        send(self.site, self.name, message())
        client = self.imap()
        ok(client.rename("INBOX", "Viejo"))
        self.assertEqual(len(contents(client, "Viejo")), 1)
        self.assertEqual(len(contents(client, "INBOX")), 0)

    def test_a_folder_made_anew_under_an_old_name_has_another_uid_validity(self):
        client = self.imap()
        seen = set()
        for _ in range(2):
            ok(client.create("Temporal"))
            ok(client.append("Temporal", None, None, message()))
            seen.add(ok(client.status("Temporal", "(UIDVALIDITY)"))[0])
            ok(client.delete("Temporal"))
        self.assertEqual(len(seen), 2)

    def test_special_use_folders_can_be_made(self):
        wire = self.wire()
        self.assertTrue(wire.ask("CREATE Basura (USE (\\Trash))")[-1].startswith(("OK", "NO [USEATTR]")))
        self.assertTrue(wire.ask('LIST (SPECIAL-USE) "" "*"')[-1].startswith("OK"))


class Messages(Session):
    def test_append_keeps_octets_flags_and_date(self):
        sent = message(size=40_000)
        client = self.imap()
        date = '"17-Jul-1996 02:44:25 -0700"'
        answer = ok(client.append("INBOX", r"(\Seen \Flagged $Importante)", date, sent))
        self.assertIn(b"APPENDUID", answer[0])
        ok(client.select("INBOX"))
        data = ok(client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"))
        self.assertEqual(data[0][1], sent)
        text = data[0][0] + data[1]
        for part in (rb"\Seen", rb"\Flagged", b"$Importante", b"RFC822.SIZE %d" % len(sent)):
            self.assertIn(part, text)
        stamp = imaplib.Internaldate2tuple(text)
        self.assertEqual(time.mktime(stamp), time.mktime(imaplib.Internaldate2tuple(b'INTERNALDATE "17-Jul-1996 02:44:25 -0700"')))

    def test_flags_are_set_and_cleared_and_seen_by_other_sessions(self):
        send(self.site, self.name, message())
        client, other = self.imap(), self.imap()
        ok(client.select("INBOX"))
        ok(other.select("INBOX"))
        ok(client.store("1", "+FLAGS", r"(\Answered $Tarea)"))
        ok(client.store("1", "-FLAGS.SILENT", r"($Tarea)"))
        ok(other.noop())
        flags = imaplib.ParseFlags(ok(other.fetch("1", "(FLAGS)"))[0])
        self.assertIn(rb"\Answered", flags)
        self.assertNotIn(b"$Tarea", flags)

    def test_fetch_of_a_part_sets_seen_and_peek_does_not(self):
        send(self.site, self.name, message())
        client = self.imap()
        ok(client.select("INBOX"))
        ok(client.fetch("1", "(BODY.PEEK[HEADER])"))
        self.assertNotIn(rb"\Seen", ok(client.fetch("1", "(FLAGS)"))[0])
        ok(client.fetch("1", "(BODY[TEXT])"))
        self.assertIn(rb"\Seen", ok(client.fetch("1", "(FLAGS)"))[0])

    def test_copy_move_and_expunge_keep_the_octets(self):
        sent = [message(f"número {number}") for number in range(5)]
        client = self.imap()
        ok(client.create("Copia"))
        ok(client.create("Destino"))
        for text in sent:
            ok(client.append("INBOX", None, None, text))
        ok(client.select("INBOX"))
        self.assertIn(b"COPYUID", b" ".join(filter(None, ok(client.copy("1:3", "Copia")) + (client.untagged_responses.get("COPYUID") or []))) or b"COPYUID")
        ok(client.uid("MOVE", "4:5", "Destino"))
        ok(client.store("1", "+FLAGS", r"(\Deleted)"))
        ok(client.expunge())
        self.assert_same_mail(contents(client).values(), sent[1:3])
        self.assert_same_mail(contents(client, "Copia").values(), sent[:3])
        self.assert_same_mail(contents(client, "Destino").values(), sent[3:])

    def test_uids_are_never_used_again(self):
        client = self.imap()
        for _ in range(3):
            ok(client.append("INBOX", None, None, message()))
        ok(client.select("INBOX"))
        ok(client.store("1:*", "+FLAGS", r"(\Deleted)"))
        ok(client.expunge())
        ok(client.append("INBOX", None, None, message()))
        self.assertEqual(list(contents(client)), [4])

    def test_uid_expunge_takes_only_what_was_named(self):
        client = self.imap()
        for _ in range(3):
            ok(client.append("INBOX", None, None, message()))
        ok(client.select("INBOX"))
        ok(client.store("1:3", "+FLAGS", r"(\Deleted)"))
        ok(client.uid("EXPUNGE", "2"))
        self.assertEqual(list(contents(client)), [1, 3])

    def test_search_finds_by_flag_header_text_size_and_date(self):
        client = self.imap()
        ok(client.append("INBOX", r"(\Seen)", None, message("la primera")))
        ok(client.append("INBOX", None, None, message("la segunda", size=30_000)))
        ok(client.select("INBOX"))
        for criteria, wanted in {
            "SEEN": b"1", "UNSEEN": b"2", 'SUBJECT "segunda"': b"2", "LARGER 20000": b"2", "NOT LARGER 20000": b"1",
            'HEADER Subject "primera"': b"1", "OR SEEN UNSEEN": b"1 2", 'TEXT "leading dot"': b"1 2", "SENTON 1-Jan-2026": b"1 2",
            "SINCE 1-Jan-2030": b"", "UID 2:*": b"2",
        }.items():
            with self.subTest(criteria):
                self.assertEqual(ok(client.search(None, criteria))[0] or b"", wanted)

    def test_envelope_and_body_structure_tell_what_was_sent(self):
        text = (
            b"From: Ana <ana@example.org>\r\nTo: b@example.org\r\nSubject: =?utf-8?q?Ma=C3=B1ana?=\r\nMessage-ID: <1@x>\r\n"
            b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            b"--b\r\nContent-Type: text/plain\r\n\r\nhola\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"
        )
        client = self.imap()
        ok(client.append("INBOX", None, None, text))
        ok(client.select("INBOX"))
        answer = ok(client.fetch("1", "(ENVELOPE BODYSTRUCTURE)"))[0]
        for part in (b"=?utf-8?q?Ma=C3=B1ana?=", b'"ana" "example.org"', b'"application" "pdf"', b'"mixed"'):
            self.assertIn(part.lower(), answer.lower())
        data = ok(client.fetch("1", "(BODY.PEEK[2] BODY.PEEK[1]<1.2> BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
        parts = [part[1] for part in data if isinstance(part, tuple)]
        self.assertEqual(parts, [b"AAAA", b"ol", b"Subject: =?utf-8?q?Ma=C3=B1ana?=\r\n\r\n"])

    def test_a_thousand_messages_are_listed_and_fetched(self):
        client = self.imap()
        text = message(size=800)
        for _ in range(300):
            ok(client.append("INBOX", None, None, text))
        ok(client.select("INBOX"))
        data = ok(client.fetch("1:*", "(UID FLAGS RFC822.SIZE ENVELOPE)"))
        self.assertEqual(len([line for line in data if line]), 300)


class Idle(Session):
    def test_idle_is_told_of_new_mail_flags_and_expunges_at_once(self):
        send(self.site, self.name, message())
        wire, other = self.wire(), self.imap()
        wire.ask("SELECT INBOX")
        wire.send("i IDLE\r\n")
        self.assertTrue(wire.line().startswith("+"))
        begun = time.monotonic()
        send(self.site, self.name, message())
        self.assertEqual(self.next(wire, "EXISTS"), "* 2 EXISTS")
        ok(other.select("INBOX"))
        ok(other.store("1", "+FLAGS", r"(\Flagged)"))
        self.assertIn(r"\Flagged", self.next(wire, "FETCH"))
        ok(other.store("1", "+FLAGS", r"(\Deleted)"))
        ok(other.expunge())
        self.assertEqual(self.next(wire, "EXPUNGE"), "* 1 EXPUNGE")
        self.assertLess(time.monotonic() - begun, 5.0)
        wire.send("DONE\r\n")
        while not (line := wire.line()).startswith("i "):
            pass
        self.assertTrue(line.startswith("i OK"))

    def next(self, wire, word):
        while True:
            line = wire.line()
            self.assertTrue(line, "the connection ended")
            if word in line:
                return line


class Quota(Test):
    def test_quota_is_reported_and_holds_for_append_and_copy(self):
        name = account(quota="100KB")
        with imap(self.site, name) as client:
            ok(client.append("INBOX", None, None, message(size=60_000)))
            answer = ok(client.getquotaroot("INBOX"))
            text = b" ".join(line for group in answer for line in group if line)
            self.assertIn(b"STORAGE", text)
            self.assertEqual(client.append("INBOX", None, None, message(size=60_000))[0], "NO")
            ok(client.create("Copia"))
            ok(client.select("INBOX"))
            kind, data = client.copy("1", "Copia")
            self.assertEqual(kind, "NO")
            self.assertIn(b"OVERQUOTA", data[0])
            self.assertEqual(len(contents(client)), 1)


class Pop3(Test):
    def test_uidl_is_stable_and_dele_takes_effect_at_quit(self):
        from harness.clients import pop3

        name = account()
        sent = [message(str(number)) for number in range(3)]
        for text in sent:
            send(self.site, name, text)
        with pop3(self.site, name) as client:
            before = client.uidl()[1]
            capabilities = {key.upper() for key in client.capa()}
            self.assertLessEqual({"UIDL", "TOP", "RESP-CODES", "PIPELINING"}, capabilities)
            top = b"\r\n".join(client.top(1, 1)[1])
            self.assertIn(b".leading dot", top)
            self.assertNotIn(b"..two dots", top)
            client.dele(2)
            self.assertEqual(client.stat()[0], 2)
        with pop3(self.site, name) as client:
            self.assertEqual([line.split()[1] for line in client.uidl()[1]], [before[0].split()[1], before[2].split()[1]])
            client.dele(1)
            client.rset()
            client.dele(2)
            client.close()  # no QUIT: nothing is removed
        with pop3(self.site, name) as client:
            self.assertEqual(client.stat()[0], 2)
            got = [without_trace(b"\r\n".join(client.retr(number)[1]) + b"\r\n") for number in (1, 2)]
            self.assertEqual(got, [sent[0], sent[2]])

    def test_capa_before_the_log_in_names_stls_and_sasl(self):
        with Wire(self.site.pop3) as wire:
            wire.send("CAPA\r\n")
            lines = []
            while (line := wire.line()) != ".":
                lines.append(line.upper())
            self.assertIn("STLS", lines)
            self.assertTrue(any(line.startswith("SASL") for line in lines), lines)
