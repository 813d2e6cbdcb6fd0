//! The header of a message as fields, octet for octet: what signatures are computed over.

use memchr::{memchr, memmem};

/// A header and where its fields stand in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Header {
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// Positions of one field.
#[derive(Clone, Copy, Debug)]
struct Field {
    start: usize,
    colon: usize,
    end: usize,
}

/// Where the header ends, with the CR LF of its last field, and where the body begins. `None` when the end is not in `text`;
/// with `whole`, `text` is all there is.
pub(crate) fn end(text: &[u8], whole: bool) -> Option<(usize, usize)> {
    if text.starts_with(b"\r\n") {
        return Some((0, 2));
    }
    match memmem::find(text, b"\r\n\r\n") {
        Some(at) => Some((at + 2, at + 4)),
        None if whole => Some((text.len(), text.len())),
        None => None,
    }
}

impl Header {
    /// Takes a header, without the empty line behind it, apart. A line that is no field is left out.
    pub(crate) fn new(text: Vec<u8>) -> Self {
        let mut fields: Vec<Field> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let start = at;
            at = memmem::find(&text[at..], b"\r\n").map_or(text.len(), |length| at + length + 2);
            let line = &text[start..at];
            if matches!(line.first(), Some(b' ' | b'\t')) {
                // A continuation; before the first field it belongs to nothing.
                if let Some(field) = fields.last_mut().filter(|field| field.end == start) {
                    field.end = at;
                }
            } else if let Some(colon) = memchr(b':', line) {
                fields.push(Field { start, colon: start + colon, end: at });
            }
        }
        Self { text, fields }
    }

    /// The number of fields.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field's name, without white space behind it.
    pub(crate) fn name(&self, index: usize) -> &[u8] {
        self.fields.get(index).map_or(&[], |field| self.text[field.start..field.colon].trim_ascii_end())
    }

    /// What stands behind the colon, with the CR LF at its end.
    pub(crate) fn value(&self, index: usize) -> &[u8] {
        self.fields.get(index).map_or(&[], |field| &self.text[field.colon + 1..field.end])
    }

    /// A field as it stands.
    pub(crate) fn raw(&self, index: usize) -> &[u8] {
        self.fields.get(index).map_or(&[], |field| &self.text[field.start..field.end])
    }

    /// The fields of a name, from the top.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|index| self.name(*index).eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// The tags of a tag-list (RFC 6376 §3.2), in order, without the white space around names and values.
pub(crate) struct Tags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Tags<'a> {
    /// `None` when it is none: a tag without `=`, or a name twice.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for tag in text.split(';') {
            if tag.trim_matches(is_space).is_empty() {
                continue;
            }
            let (name, value) = tag.split_once('=')?;
            let (name, value) = (name.trim_matches(is_space), value.trim_matches(is_space));
            // A list of thousands of tags is nobody's; the bound keeps looking for a name twice cheap.
            if name.is_empty() || tags.len() == 64 || tags.iter().any(|(known, _)| *known == name) {
                return None;
            }
            tags.push((name, value));
        }
        Some(Self(tags))
    }

    /// A tag's value.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The first tag.
    pub(crate) fn first(&self) -> Option<(&'a str, &'a str)> {
        self.0.first().copied()
    }
}

/// FWS (RFC 5322 §3.2.2).
pub(crate) const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_line_ends_a_header_wherever_it_stands() {
        assert_eq!(end(b"a: b\r\n\r\nbody", true), Some((6, 8)));
        assert_eq!(end(b"\r\nbody", true), Some((0, 2)));
        assert_eq!(end(b"a: b\r\n", true), Some((6, 6)));
        assert_eq!(end(b"a: b\r\n", false), None);
        assert_eq!(end(b"", true), Some((0, 0)));
    }

    #[test]
    fn fields_keep_their_folds_and_lines_that_are_none_are_left_out() {
        let header =
            Header::new(b" lost\r\nFrom : a\r\n\tb\r\nno field\r\n lost too\r\nTO:\r\nX: y: z".to_vec());
        assert_eq!(header.len(), 3);
        assert_eq!((header.name(0), header.value(0)), (&b"From"[..], &b" a\r\n\tb\r\n"[..]));
        assert_eq!(
            (header.name(2), header.value(2), header.raw(2)),
            (&b"X"[..], &b" y: z"[..], &b"X: y: z"[..])
        );
        assert_eq!(header.named("to").collect::<Vec<_>>(), [1]);
        assert!(header.name(9).is_empty() && header.value(9).is_empty());
    }

    #[test]
    fn a_tag_list_with_a_name_twice_is_none() {
        let tags = Tags::parse(" v=1; a =\r\n\tb = c ;; ").unwrap();
        assert_eq!(
            (tags.get("v"), tags.get("a"), tags.first()),
            (Some("1"), Some("b = c"), Some(("v", "1")))
        );
        for text in ["a=1; a=2", "a", "=1", "a=1; b"] {
            assert!(Tags::parse(text).is_none(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_can_be_taken_apart(parts in proptest::collection::vec(
            proptest::sample::select(vec!["\r\n", "\r", "\n", ":", " ", "\t", "From", "a=b", ";", "\0", "\u{f1}"]), 0..40,
        )) {
            let text = parts.concat();
            let header = Header::new(text.clone().into_bytes());
            for index in 0..header.len() {
                proptest::prop_assert!(header.name(index).len() + header.value(index).len() < header.raw(index).len());
            }
            let _ = (end(text.as_bytes(), true), end(text.as_bytes(), false), Tags::parse(&text).is_some());
        }
    }
}
