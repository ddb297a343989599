//! An operator's word that a relay may have its entry although a guard speaks.

use serde::{Deserialize, Serialize};

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Until when it holds, in seconds since 1970.
    pub until: u32,
    /// When it was given, in seconds since 1970.
    pub at: u32,
    /// Who gave it: a login name. Foreign text.
    pub who: Box<str>,
    /// Why, in his words. Foreign text.
    pub reason: Box<str>,
}

/// The longest of its texts, in bytes; the rest is cut.
const LONGEST: usize = 400;

impl Approval {
    /// With texts of bounded length.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self { who: cut(&self.who), reason: cut(&self.reason), ..self }
    }
}

/// A text of bounded length.
pub(crate) fn cut(text: &str) -> Box<str> {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().into()
}
