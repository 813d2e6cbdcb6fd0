//! The header of a message: taken apart, changed, put together. What is not changed keeps every octet.

/// One header field with its folded lines and the CR LF behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(Vec<u8>);

impl Field {
    /// A field from a name and a value that come from outside, as a milter's: control characters become spaces, LF folds. `None` when the
    /// name cannot be one (RFC 5322 §2.2).
    #[must_use]
    pub fn new(name: &[u8], value: &[u8], with_space: bool) -> Option<Self> {
        if name.is_empty() || !name.iter().all(|&b| matches!(b, 33..=57 | 59..=126)) {
            return None;
        }
        let mut field = Vec::with_capacity(name.len() + value.len() + 8);
        field.extend_from_slice(name);
        field.push(b':');
        if !with_space {
            field.push(b' ');
        }
        let mut lines =
            value.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty());
        let clean = |line: &[u8], field: &mut Vec<u8>| {
            field.extend(line.iter().map(|&b| if b < 0x20 && b != b'\t' || b == 0x7f { b' ' } else { b }));
        };
        if let Some(first) = lines.next() {
            clean(first, &mut field);
        }
        for line in lines {
            field.extend_from_slice(b"\r\n");
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                field.push(b'\t');
            }
            clean(line, &mut field);
        }
        field.extend_from_slice(b"\r\n");
        Some(Self(field))
    }

    /// All of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its name; empty where the line is no field.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        memchr::memchr(b':', &self.0).and_then(|at| self.0.get(..at)).unwrap_or_default().trim_ascii_end()
    }

    /// What stands behind the colon, the last CR LF left out.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        let value = memchr::memchr(b':', &self.0).and_then(|at| self.0.get(at + 1..)).unwrap_or_default();
        value.strip_suffix(b"\r\n").unwrap_or(value)
    }

    /// Whether it has this name, in whatever case.
    #[must_use]
    pub fn is(&self, name: &[u8]) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }
}

/// A header, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The fields from the top.
    pub fields: Vec<Field>,
}

impl Head {
    /// Takes apart the header at the front of `text`, and says where the body begins, behind the empty line. `None` when the header does not
    /// end within `text`, unless `whole` says that there is no more.
    #[must_use]
    pub fn parse(text: &[u8], whole: bool) -> Option<(Self, usize)> {
        let mut fields: Vec<Field> = Vec::new();
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let Some(end) = memchr::memmem::find(rest, b"\r\n") else {
                if !whole {
                    return None;
                }
                if !rest.is_empty() {
                    // A message that ends within its header, without CR LF.
                    fields.push(Field([rest, b"\r\n"].concat()));
                }
                return Some((Self { fields }, text.len()));
            };
            let line = rest.get(..end + 2).unwrap_or_default();
            at += line.len();
            match (line.first(), fields.last_mut()) {
                (Some(b'\r'), _) if end == 0 => return Some((Self { fields }, at)),
                (Some(b' ' | b'\t'), Some(last)) => last.0.extend_from_slice(line),
                _ => fields.push(Field(line.to_vec())),
            }
        }
    }

    /// Octets of it, without the empty line.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.iter().map(|field| field.0.len()).sum()
    }

    /// No field at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Appends it with the empty line that ends it.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.len() + 2);
        for field in &self.fields {
            out.extend_from_slice(&field.0);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The first field of this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Field> {
        self.fields.iter().find(|field| field.is(name))
    }

    /// Puts `field` in the place of the `index`th of this name, from 1, or takes that one out. Without so many, the field is added at
    /// the end, as Sendmail does.
    pub fn change(&mut self, index: u32, name: &[u8], field: Option<Field>) {
        let nth = index.max(1) as usize - 1;
        let place =
            self.fields.iter().enumerate().filter(|(_, field)| field.is(name)).map(|(at, _)| at).nth(nth);
        match (place, field) {
            (Some(at), Some(field)) => {
                if let Some(old) = self.fields.get_mut(at) {
                    *old = field;
                }
            }
            (Some(at), None) => drop(self.fields.remove(at)),
            (None, Some(field)) => self.fields.push(field),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"Received: a\r\n\tb\r\nSubject: hola\r\nX-Spam-Flag:YES\r\nsubject : two\r\n\r\nbody\r\n";

    fn written(head: &Head) -> String {
        let mut out = Vec::new();
        head.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_header_is_taken_apart_and_put_together_without_a_change() {
        let (head, body) = Head::parse(TEXT, false).unwrap();
        assert_eq!(head.fields.len(), 4);
        assert_eq!((head.fields[0].name(), head.fields[0].value()), (&b"Received"[..], &b" a\r\n\tb"[..]));
        assert!(head.fields[3].is(b"Subject"));
        assert_eq!(&TEXT[body..], b"body\r\n");
        assert_eq!(written(&head).as_bytes(), &TEXT[..body]);
        assert_eq!(Head::parse(&TEXT[..20], false), None);
        let (short, body) = Head::parse(b"Subject: x", true).unwrap();
        assert_eq!((written(&short).as_str(), body), ("Subject: x\r\n\r\n", 10));
        assert_eq!(Head::parse(b"\r\nbody", false), Some((Head::default(), 2)));
        assert_eq!(Head::parse(b"", true), Some((Head::default(), 0)));
    }

    #[test]
    fn the_nth_field_of_a_name_changes_goes_or_is_added() {
        let (mut head, _) = Head::parse(TEXT, false).unwrap();
        let field = |value: &[u8]| Field::new(b"Subject", value, false);
        head.change(2, b"SUBJECT", field(b"dos"));
        head.change(1, b"subject", None);
        head.change(7, b"Subject", field(b"siete"));
        head.change(3, b"X-None", None);
        assert_eq!(
            written(&head),
            "Received: a\r\n\tb\r\nX-Spam-Flag:YES\r\nSubject: dos\r\nSubject: siete\r\n\r\n"
        );
    }

    #[test]
    fn a_foreign_value_cannot_break_out_of_its_field() {
        let field = |name: &[u8], value: &[u8]| {
            Field::new(name, value, false).map(|f| String::from_utf8(f.0).unwrap())
        };
        assert_eq!(field(b"X-A", b"one\ntwo\r\n\tthree").unwrap(), "X-A: one\r\n\ttwo\r\n\tthree\r\n");
        assert_eq!(field(b"X-A", b"x\n\n\r\nBcc: y").unwrap(), "X-A: x\r\n\tBcc: y\r\n");
        assert_eq!(field(b"X-A", b"a\rb\0c").unwrap(), "X-A: a b c\r\n");
        assert_eq!(Field::new(b"X-A", b" b", true).unwrap().as_bytes(), b"X-A: b\r\n");
        for name in [&b""[..], b"a b", b"a:b", b"a\r\nb", b"\xc3"] {
            assert_eq!(field(name, b"x"), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_of_any_header(parts in proptest::collection::vec(
            proptest::sample::select(vec!["Subject", ":", " x", "\t", "\r\n", "\r", "\n", "\r\n\r\n", "á"]), 0..30,
        )) {
            let text = parts.concat();
            if let Some((head, body)) = Head::parse(text.as_bytes(), false) {
                let written = written(&head);
                proptest::prop_assert_eq!(written.as_bytes(), &text.as_bytes()[..body]);
            }
            if let Some((head, body)) = Head::parse(text.as_bytes(), true) {
                proptest::prop_assert!(written(&head).starts_with(text[..body].trim_end_matches("\r\n")));
            }
        }

        #[test]
        fn a_field_made_of_anything_is_one_field(value in proptest::collection::vec(0u8..=255, 0..80)) {
            let field = Field::new(b"X-Any", &value, false).unwrap();
            let (head, _) = Head::parse(&[field.as_bytes(), b"\r\n"].concat(), false).unwrap();
            proptest::prop_assert_eq!(head.fields, vec![field]);
        }
    }
}
