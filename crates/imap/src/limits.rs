//! How much one client may make the server keep.

/// Bounds on what [`crate::CommandReader`] accepts. All sizes in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest line, that is, text between line ends or literals. Longer ends the connection. Default 64 KiB.
    pub line: usize,
    /// Largest literal that is kept (not the message of an APPEND). Default 64 KiB.
    pub literal: usize,
    /// Largest command, lines and kept literals together. Default 128 KiB.
    pub command: usize,
    /// Deepest nesting of parentheses, `NOT` and `OR`. Default 32.
    pub nesting: usize,
    /// Most elements in one command: list items, search keys, ranges of a set. Default 8192.
    pub elements: usize,
    /// Largest message in an APPEND. Default 50 MiB.
    pub message: u64,
}

impl Limits {
    /// What a client may say before it has logged in: little.
    pub const fn before_log_in() -> Self {
        Self { line: 8 << 10, literal: 4 << 10, command: 16 << 10, nesting: 2, elements: 64, message: 0 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 64 << 10,
            literal: 64 << 10,
            command: 128 << 10,
            nesting: 32,
            elements: 8192,
            message: 50 << 20,
        }
    }
}
