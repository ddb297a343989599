//! The kinds of event a reader wants; nobody pays for one that he does not use.

use std::ops::BitOr;

/// A set of kinds of event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// No kind at all.
    pub const NONE: Self = Self(0);
    /// [`crate::event::What::Attempt`], with the client error line before it as its cause.
    pub const ATTEMPTS: Self = Self(1);
    /// How an attempt ended: [`crate::event::What::Stuck`], `Sent`, `Failed`.
    pub const OUTCOMES: Self = Self(1 << 1);
    /// [`crate::event::What::Success`].
    pub const SUCCESSES: Self = Self(1 << 2);
    /// [`crate::event::What::Waiting`].
    pub const WAITING: Self = Self(1 << 3);
    /// [`crate::event::What::TryTls`].
    pub const TRY_TLS: Self = Self(1 << 4);
    /// [`crate::event::What::DaneWarning`].
    pub const DANE_WARNINGS: Self = Self(1 << 5);
    /// [`crate::event::What::ClientFailed`].
    pub const CLIENT_FAILURES: Self = Self(1 << 6);
    /// [`crate::event::What::ClientSucceeded`].
    pub const CLIENT_SUCCESSES: Self = Self(1 << 7);
    /// [`crate::event::What::Served`].
    pub const SERVED: Self = Self(1 << 8);
    /// [`crate::event::What::ClientDelivered`]. A line for each message that comes in is read for it.
    pub const CLIENT_DELIVERIES: Self = Self(1 << 9);
    /// [`crate::event::What::Reply`].
    pub const REPLIES: Self = Self(1 << 10);
    /// Every kind.
    pub const ALL: Self = Self((1 << 11) - 1);

    /// Whether it holds a kind of `other`.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The kinds of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}
