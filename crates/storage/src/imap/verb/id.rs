//! ID (RFC 2971). The version is not told: it helps nobody but who looks for holes.

/// Appends the untagged response.
pub(in super::super) fn respond(out: &mut Vec<u8>) {
    out.extend_from_slice(b"* ID (\"name\" \"Chasqui\")\r\n");
}
