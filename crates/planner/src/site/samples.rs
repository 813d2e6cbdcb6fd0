//! The small sites of this repository, for tests.

/// `hosts/lab/site.toml`.
pub const LAB: &str = include_str!("../../../../hosts/lab/site.toml");
/// `hosts/solo/site.toml`.
pub const SOLO: &str = include_str!("../../../../hosts/solo/site.toml");

/// The text with the first `old` replaced, which must be there.
pub fn changed(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "the sample no longer says {old}");
    text.replacen(old, new, 1)
}
