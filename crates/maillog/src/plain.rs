//! The plain way: every line is read. Slower than [`crate::finder`] and beyond doubt, so it is what the finder is held
//! to; and the natural way where lines come one at a time.

use crate::event::Event;
use crate::kinds::Kinds;
use crate::lines::Lines;
use crate::pattern::Patterns;

/// Finds events line by line.
#[derive(Debug)]
pub struct Plain {
    lines: Lines,
}

impl Plain {
    /// A reader of the kinds wanted.
    pub fn new(kinds: Kinds) -> Self {
        Self::with_patterns(kinds, Patterns::default())
    }

    /// The same, with an operator's patterns.
    pub fn with_patterns(kinds: Kinds, patterns: Patterns) -> Self {
        Self { lines: Lines::new(kinds, patterns) }
    }

    /// Reads whole lines; see [`crate::finder::Finder::feed`].
    pub fn feed<'b>(&mut self, lines: &'b [u8], sink: &mut impl FnMut(Event<'b>)) {
        for line in lines.split(|b| *b == b'\n') {
            self.lines.read(line, sink);
        }
    }
}
