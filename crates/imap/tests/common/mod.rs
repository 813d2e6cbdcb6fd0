//! Valid commands, made from the grammar with a seed, for the oracle and for the fuzzer.
#![allow(dead_code, reason = "each test takes what it needs")]

/// A small deterministic generator (SplitMix64): the same seed gives the same inputs everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

fn set(r: &mut Random) -> String {
    let number = |r: &mut Random| match r.below(5) {
        0 => "*".to_owned(),
        1 => "4294967295".to_owned(),
        _ => (r.below(50) + 1).to_string(),
    };
    let ranges: Vec<String> = (0..r.below(3) + 1)
        .map(|_| if r.below(2) == 0 { number(r) } else { format!("{}:{}", number(r), number(r)) })
        .collect();
    ranges.join(",")
}

fn astring(r: &mut Random) -> String {
    let text = r.one(&["INBOX", "a b", "x", "Sent", "a\"b\\c", "", "&AO8-", "a/b/c", "]"]);
    match r.below(3) {
        0 if !text.is_empty() && !text.contains([' ', '"', '\\']) => text.to_owned(),
        1 => format!("{{{}}}\r\n{text}", text.len()),
        _ => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn flags(r: &mut Random) -> String {
    let list: Vec<&str> = (0..r.below(4))
        .map(|_| r.one(&["\\Seen", "\\deleted", "\\Flagged", "\\Draft", "\\Answered", "$Junk", "word"]))
        .collect();
    format!("({})", list.join(" "))
}

fn section(r: &mut Random) -> String {
    let part = r.one(&["", "1", "1.2.3"]);
    let text =
        r.one(&["", "HEADER", "TEXT", "HEADER.FIELDS (To \"From\")", "HEADER.FIELDS.NOT (Subject)", "MIME"]);
    match (part, text) {
        ("", "MIME") => "TEXT".to_owned(),
        ("", text) => text.to_owned(),
        (part, "") => part.to_owned(),
        (part, text) => format!("{part}.{text}"),
    }
}

fn fetch(r: &mut Random) -> String {
    let item = |r: &mut Random| match r.below(3) {
        0 => format!(
            "BODY{}[{}]{}",
            r.one(&["", ".PEEK"]),
            section(r),
            r.one(&["", "<0.1>", "<17.4294967295>"])
        ),
        _ => r
            .one(&[
                "UID",
                "FLAGS",
                "INTERNALDATE",
                "RFC822.SIZE",
                "ENVELOPE",
                "BODY",
                "BODYSTRUCTURE",
                "RFC822",
                "RFC822.HEADER",
                "RFC822.TEXT",
            ])
            .to_owned(),
    };
    match r.below(4) {
        0 => r.one(&["ALL", "FAST", "FULL"]).to_owned(),
        1 => item(r),
        _ => {
            let items: Vec<String> = (0..r.below(4) + 1).map(|_| item(r)).collect();
            format!("({})", items.join(" "))
        }
    }
}

fn key(r: &mut Random, depth: usize) -> String {
    match r.below(if depth == 0 { 6 } else { 9 }) {
        0 => r.one(&["ALL", "SEEN", "unseen", "NEW", "OLD", "RECENT", "DELETED", "UNDRAFT"]).to_owned(),
        1 => set(r),
        2 => format!("{} {}", r.one(&["FROM", "TO", "CC", "BCC", "SUBJECT", "BODY", "TEXT"]), astring(r)),
        3 => format!(
            "{} {}",
            r.one(&["BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE"]),
            r.one(&["1-Feb-1994", "\"28-Feb-2023\"", "31-Dec-1999"])
        ),
        4 => format!("{} {}", r.one(&["LARGER", "SMALLER"]), r.below(1 << 20)),
        5 => format!("UID {}", set(r)),
        6 => format!("NOT {}", key(r, depth - 1)),
        7 => format!("OR {} {}", key(r, depth - 1), key(r, depth - 1)),
        _ => format!("({} {})", key(r, depth - 1), key(r, depth - 1)),
    }
}

/// One command without APPEND, tag and line end included.
pub fn command(r: &mut Random) -> String {
    let tag = r.one(&["a1", "A0001", "x.y-z", "]", "t'!"]);
    let uid = r.one(&["", "UID "]);
    let body = match r.below(20) {
        0 => r
            .one(&[
                "CAPABILITY",
                "noop",
                "LOGOUT",
                "CHECK",
                "CLOSE",
                "EXPUNGE",
                "UNSELECT",
                "IDLE",
                "NAMESPACE",
                "STARTTLS",
            ])
            .to_owned(),
        1 => format!("LOGIN {} {}", astring(r), astring(r)),
        2 => format!("AUTHENTICATE PLAIN{}", r.one(&["", " AHQAcA==", " ="])),
        3 => format!(
            "{} {}",
            r.one(&["SELECT", "EXAMINE", "CREATE", "DELETE", "SUBSCRIBE", "UNSUBSCRIBE", "GETQUOTAROOT"]),
            astring(r)
        ),
        4 => format!("RENAME {} {}", astring(r), astring(r)),
        5 => format!("LIST {} {}", astring(r), r.one(&["*", "%", "\"*\"", "a/%", "\"\""])),
        6 => format!("LSUB {} {}", astring(r), r.one(&["*", "%"])),
        7 => format!(
            "STATUS {} ({})",
            astring(r),
            r.one(&["MESSAGES", "UIDNEXT UNSEEN", "RECENT UIDVALIDITY"])
        ),
        8 => format!("ENABLE {}", r.one(&["CONDSTORE", "UTF8=ACCEPT"])),
        9 => format!("ID {}", r.one(&["NIL", "(\"name\" \"x\")", "(\"name\" NIL)"])),
        10 => format!("GETQUOTA {}", astring(r)),
        11 => format!("UID EXPUNGE {}", set(r)),
        12 | 13 => format!("{uid}SEARCH {}{}", r.one(&["", "CHARSET UTF-8 "]), key(r, 3)),
        14 | 15 => format!("{uid}FETCH {} {}", set(r), fetch(r)),
        16 | 17 => format!(
            "{uid}STORE {} {}FLAGS{} {}",
            set(r),
            r.one(&["", "+", "-"]),
            r.one(&["", ".SILENT"]),
            flags(r)
        ),
        18 => format!("{uid}COPY {} {}", set(r), astring(r)),
        _ => format!("{uid}MOVE {} {}", set(r), astring(r)),
    };
    format!("{tag} {body}\r\n")
}

/// One APPEND, its literal never waiting.
pub fn append(r: &mut Random) -> String {
    let message = "x".repeat(r.below(300));
    let flags = if r.below(2) == 0 { format!("{} ", flags(r)) } else { String::new() };
    let date = r.one(&["", "\"17-Jul-1996 02:44:25 -0700\" ", "\" 1-Jan-2024 00:00:00 +0000\" "]);
    format!(
        "a1 APPEND {} {flags}{date}{{{}+}}\r\n{message}\r\n",
        astring(r).replace("}\r\n", "+}\r\n"),
        message.len()
    )
}
