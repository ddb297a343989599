//! What is known of this host itself: its own names, and what its sendmail does by itself.

use std::collections::BTreeSet;

use maillog::relay::{Form, Relay};

use crate::fact::Answer;

/// This host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its own names as sendmail knows them (`$j` and class w): lower case, without a final dot, no addresses.
    pub own: Answer<BTreeSet<Box<str>>>,
    /// `O TLSFallbacktoClear`: sendmail itself goes on in clear after a failed handshake.
    pub falls_back: bool,
    /// `O DANE`: sendmail itself looks TLSA records up. A Try_TLS entry then makes the mail bounce (8.18) or go past DANE
    /// (before).
    pub dane: bool,
    /// Why sendmail cannot be told to fall back for one relay (`TLS_Clt_features:<key> flags=C`); none if it can, or if that is
    /// not known.
    pub no_fallback: Option<Box<str>>,
}

impl Host {
    /// A host of which nothing was asked: for old logs that are read elsewhere.
    pub const NOT_ASKED: Self =
        Self { own: Answer::NotAsked, falls_back: false, dane: false, no_fallback: None };

    /// Whether the relay is this host. An address literal is none of its names: loopback and other addresses are the
    /// never-list's.
    pub(crate) fn is_own(&self, relay: &Relay<'_>) -> bool {
        let (Form::Name(name) | Form::Bracketed(name), Answer::Known(own)) =
            (relay.form(), &self.own)
        else {
            return false;
        };
        own.contains(name)
    }
}
