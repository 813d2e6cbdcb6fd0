//! Pieces of the picture: drawn from their own corner, measured, and then placed.

use std::fmt::Write as _;

/// A piece of the picture with its size.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Its elements, from its own upper left corner.
    body: String,
    /// How wide it is.
    pub width: f64,
    /// How high it is.
    pub height: f64,
}

impl Block {
    /// An empty piece of a size.
    pub fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    /// A rectangle with a class of the style sheet and a fill, which may be empty for the class's own.
    pub fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, fill: &str) {
        let fill = if fill.is_empty() { String::new() } else { format!(" fill=\"{fill}\"") };
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"{class}\"{fill}/>"
        );
    }

    /// A line of text; `y` is its base line.
    pub fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let _ =
            writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escaped(text));
    }

    /// A line of text that ends at `x`.
    pub fn text_to(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"end\">{}</text>",
            escaped(text)
        );
    }

    /// A straight line in a colour, dashed or not.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str, dashed: bool) {
        let dash = if dashed { " stroke-dasharray=\"6 3\"" } else { "" };
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"4\"{dash}/>"
        );
    }

    /// Puts a piece into this one.
    pub fn place(&mut self, piece: &Block, x: f64, y: f64) {
        self.body.push_str(&piece.at(x, y));
    }

    /// The piece's elements, moved.
    pub fn at(&self, x: f64, y: f64) -> String {
        format!("<g transform=\"translate({x:.1} {y:.1})\">\n{}</g>\n", self.body)
    }

    /// The piece with an explanation that appears under the pointer and is read aloud.
    pub fn titled(mut self, title: &str) -> Self {
        self.body = format!("<g>\n<title>{}</title>\n{}</g>\n", escaped(title), self.body);
        self
    }

    /// The piece in a frame of a class, at least so wide.
    pub fn framed(&self, class: &str, padding: f64, width: f64) -> Self {
        let size = ((self.width + 2.0 * padding).max(width), self.height + 2.0 * padding);
        let mut frame = Self::new(size.0, size.1);
        frame.rectangle((0.0, 0.0), size, class, "");
        frame.place(self, padding, padding);
        frame
    }
}

/// Pieces one below the other.
pub(super) fn stack(pieces: Vec<Block>, gap: f64) -> Block {
    let mut whole = Block::default();
    for piece in &pieces {
        let y = if whole.height > 0.0 { whole.height + gap } else { 0.0 };
        whole.place(piece, 0.0, y);
        whole.width = whole.width.max(piece.width);
        whole.height = y + piece.height;
    }
    whole
}

/// Pieces beside each other, in as many rows as the width needs.
pub(super) fn flow(pieces: Vec<Block>, width: f64, gap: f64) -> Block {
    let mut whole = Block::default();
    let (mut x, mut y, mut row) = (0.0, 0.0, 0.0_f64);
    for piece in &pieces {
        if x > 0.0 && x + piece.width > width {
            (x, y, row) = (0.0, y + row + gap, 0.0);
        }
        whole.place(piece, x, y);
        whole.width = whole.width.max(x + piece.width);
        x += piece.width + gap;
        row = row.max(piece.height);
        whole.height = y + row;
    }
    whole
}

/// Roughly how wide a text is at a size; fonts differ, so it is rather too much.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars()
        .map(|c| if c.is_ascii_uppercase() || matches!(c, 'm' | 'w' | '·') { 0.68 } else { 0.555 })
        .sum::<f64>()
        * size
}

/// The text, or as much of it as fits, with an ellipsis.
pub(super) fn fitted(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if text_width(&kept, size) + size * 0.7 > width {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end_matches([' ', '·', ',', '-']))
}

/// A text as XML has it.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML 1.0 §2.2 has no other control characters.
            control if control.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}
