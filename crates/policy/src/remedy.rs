//! What an entry of a relay's does.
//!
//! `Try_TLS:<key> NO` turns TLS off. `TLS_Clt_features:<key> flags=C` lets sendmail (8.16 and later, with
//! `FEATURE(tls_session_features)`) try TLS each time and go on in clear after a broken handshake, so it heals by itself. Both
//! are looked up in the same order: the name that sendmail connected to, its parents, the address, its prefixes (measured
//! on 8.17.1.9). So the same key serves for both, and the same lines of the admin's stand in the way.

use access::key::Key;
use access::remedy::{Remedy, Tagged};

/// What an entry of a relay's does. Those of clients are none of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelayRemedy {
    /// sendmail does not try TLS.
    #[default]
    TryTls,
    /// sendmail goes on in clear after a broken handshake.
    Fallback,
}

impl RelayRemedy {
    /// What the entry does; none if it is not a relay's.
    pub fn of(entry: &Tagged) -> Option<Self> {
        match entry.remedy {
            Remedy::TryTls => Some(Self::TryTls),
            Remedy::TlsCltFeatures => Some(Self::Fallback),
            Remedy::SrvFeatures => None,
        }
    }

    /// The entry of this kind for the key.
    pub fn entry(self, key: Key) -> Tagged {
        let remedy = match self {
            Self::TryTls => Remedy::TryTls,
            Self::Fallback => Remedy::TlsCltFeatures,
        };
        Tagged { remedy, key }
    }
}
