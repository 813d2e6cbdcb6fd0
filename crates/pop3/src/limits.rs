/// What one session may ask of the parser. Exceeding a limit is a `-ERR`, never an error of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest command line in octets, without its line end. RFC 2449 §4 asks for 255; clients that send a SASL
    /// initial response however long it is make more sensible. Default 1024.
    pub command: usize,
    /// Longest answer to a SASL challenge in octets, without its line end (RFC 5034 §4). Default 4096.
    pub sasl: usize,
    /// Unknown or malformed commands before the session is closed. Default 10.
    pub errors: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { command: 1024, sasl: 4096, errors: 10 }
    }
}

impl Limits {
    /// Most octets that a [`crate::Reader`] holds: the longest line and its CRLF.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.command.max(self.sasl).saturating_add(2)
    }
}
