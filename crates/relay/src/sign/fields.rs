//! The fields of a header, as they stand.
//!
//! Only CR LF ends a line. What is no field ends the walk with an error: a reader elsewhere could take such a line for the end of the
//! header, and what follows it for the text.

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// What stands before the colon: printable ASCII.
    pub name: &'a str,
    /// What stands behind the colon, folding and the last CR LF included.
    pub value: &'a [u8],
    /// The field from its name to its last CR LF.
    pub whole: &'a [u8],
}

impl Field<'_> {
    /// Whether this is its name, in any case of letters.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// A line of the header that neither is a field nor continues one, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} of the header is no field (RFC 5322 §2.2)")]
pub(crate) struct NoField(pub usize);

/// Walks through the fields of `header`, which ends before the empty line.
pub(crate) fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header, line: 1 }
}

/// See [`fields`].
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, NoField>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let first = self.line;
        let mut end = 0;
        loop {
            let behind = self.rest.get(end..).unwrap_or_default();
            // A last line without CR LF can only be that of a text without an end; it ends the field too.
            end += memchr::memmem::find(behind, b"\r\n").map_or(behind.len(), |found| found + 2);
            self.line += 1;
            if !matches!(self.rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (whole, rest) = self.rest.split_at(end);
        self.rest = rest;
        let field = parse(whole).ok_or(NoField(first));
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// RFC 5322 §2.2: a name of printable ASCII, right before a colon. Space between them (§4.5) is refused: readers differ on it.
fn parse(whole: &[u8]) -> Option<Field<'_>> {
    let colon = memchr::memchr(b':', whole)?;
    let (name, value) = whole.split_at_checked(colon)?;
    if name.is_empty() || !name.iter().all(|b| matches!(b, 33..=126)) {
        return None;
    }
    Some(Field { name: std::str::from_utf8(name).ok()?, value: value.get(1..)?, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_apart_and_folding_stays() {
        let found: Vec<_> =
            fields(b"From: a\r\nSubject:\r\n x\r\n\ty\r\nTo:\r\n").map(Result::unwrap).collect();
        let expected: [(&str, &[u8]); 3] =
            [("From", b" a\r\n"), ("Subject", b"\r\n x\r\n\ty\r\n"), ("To", b"\r\n")];
        assert_eq!(found.iter().map(|field| (field.name, field.value)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_field_is_named_by_its_line() {
        for (header, line) in [
            (&b" folded\r\n"[..], 1),
            (b"A: b\r\nFrom ana\r\n", 2),
            (b"A: b\r\n c\r\n: x\r\n", 3),
            (b"A : b\r\n", 1),
            ("Ñ: b\r\n".as_bytes(), 1),
        ] {
            assert_eq!(fields(header).find_map(Result::err), Some(NoField(line)));
        }
    }

    proptest::proptest! {
        #[test]
        fn every_octet_belongs_to_a_field_or_the_walk_ends(parts in proptest::collection::vec(
            proptest::sample::select(vec!["A:", "b", "\r\n", "\n", "\r", " ", "\t", ":", "\0", "ñ"]), 0..30,
        )) {
            let header = parts.concat();
            let mut seen = 0;
            let mut broken = false;
            for field in fields(header.as_bytes()) {
                match field {
                    Ok(field) => seen += field.whole.len(),
                    Err(_) => broken = true,
                }
            }
            proptest::prop_assert!(broken || seen == header.len());
        }
    }
}
