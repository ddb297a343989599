//! What an operator asks of the daemon, and its answer: two texts in a row of the ledger.
//!
//! The command that asks and the daemon that answers are one program, but not always of one age, nor is the file theirs
//! alone. So both texts are read with care: what is not understood is refused in words, and never guessed at.

use std::net::IpAddr;

use jiff::Timestamp;
use maillog::relay::Relay;
use policy::adoption::Word;
use policy::approval::Approval;
use policy::halt::{Halt, HaltKind};
use policy::input::Request;
use serde::{Deserialize, Serialize};

/// The longest name of who asked that is kept with a halt, in characters.
const MOST_OF_WHO: usize = 200;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Wish {
    /// The relay may have its entry although a guard speaks.
    Approve {
        /// The relay as in the log.
        relay: String,
        /// Until when, in seconds since 1970.
        until: i64,
        /// Why.
        reason: String,
    },
    /// The client may have its entry although a guard speaks.
    ApproveClient {
        /// Its address.
        client: IpAddr,
        /// Until when, in seconds since 1970.
        until: i64,
        /// Why.
        reason: String,
    },
    /// The relay's entries go, and it gets none for a time.
    Lift {
        /// The relay as in the log.
        relay: String,
        /// Until when, in seconds since 1970; none: for the hold-off of the config.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// The same of a client.
    LiftClient {
        /// Its address.
        client: IpAddr,
        /// Until when, in seconds since 1970; none: for the hold-off of the config.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// The line that the admin wrote for the relay is looked after.
    Adopt {
        /// The relay as in the log.
        relay: String,
        /// Why; empty if he gave no reason.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// It is no more.
    EndAdoption {
        /// The relay as in the log.
        relay: String,
    },
    /// What the log says is counted, and nothing is decided.
    Pause,
    /// The same, and all our entries go.
    Disarm,
    /// What was paused or disarmed goes on.
    Resume,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Whether it was carried out; else it was refused.
    pub(crate) done: bool,
    /// The rest, in words.
    pub(crate) says: String,
}

impl Wish {
    /// As the ledger keeps it.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the ledger.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) fn of_text(text: &str) -> Result<Self, Outcome> {
        serde_json::from_str(text)
            .map_err(|error| Outcome::refused(format!("this trytlsd does not know it: {error}")))
    }

    /// For the heart: who asked, and when.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) fn into_request(self, who: &str, at: Timestamp) -> Result<Request, Outcome> {
        let at = second(at.as_second());
        let approval = |until, reason: String| {
            let (who, reason) = (who.into(), reason.into());
            Approval { until: second(until), at, who, reason }.bounded()
        };
        let halt = |kind| {
            let who = who.chars().take(MOST_OF_WHO).collect();
            Request::Halt(Halt { kind, since: at, who })
        };
        Ok(match self {
            Self::Approve { relay, until, reason } => {
                Request::Approve(parsed(&relay)?, approval(until, reason))
            }
            Self::ApproveClient { client, until, reason } => {
                Request::ApproveClient(client, approval(until, reason))
            }
            Self::Lift { relay, until } => Request::Lift(parsed(&relay)?, until.map(second)),
            Self::LiftClient { client, until } => Request::LiftClient(client, until.map(second)),
            Self::Adopt { relay, reason } => {
                let word = Word { who: who.into(), at, reason: reason.into() };
                Request::Adopt(parsed(&relay)?, word.bounded())
            }
            Self::EndAdoption { relay } => Request::EndAdoption(parsed(&relay)?),
            Self::Pause => halt(HaltKind::Paused),
            Self::Disarm => halt(HaltKind::Disarmed),
            Self::Resume => Request::GoOn,
        })
    }
}

fn parsed(relay: &str) -> Result<Relay<'static>, Outcome> {
    let relay = Relay::parse(relay.as_bytes()).map(Relay::into_owned);
    relay.ok_or_else(|| Outcome::refused("the log can name no such relay".to_owned()))
}

/// As the heart counts: in whole seconds since 1970.
fn second(second: i64) -> u32 {
    u32::try_from(second.max(0)).unwrap_or(u32::MAX)
}

impl Outcome {
    pub(crate) fn done(says: String) -> Self {
        Self { done: true, says }
    }

    pub(crate) fn refused(says: String) -> Self {
        Self { done: false, says }
    }

    /// As the ledger keeps it.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the ledger; one that cannot be read counts as refused.
    pub(crate) fn of_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self::refused(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_comes_back() {
        let wish = Wish::Approve {
            relay: "mx.example.org".to_owned(),
            until: 1_800_000_000,
            reason: "they said \"soon\"\n".to_owned(),
        };
        assert_eq!(Wish::of_text(&wish.to_text()), Ok(wish));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let check = |text: &str| {
            let asked = Wish::of_text(text).and_then(|wish| wish.into_request("x", Timestamp::MIN));
            assert!(asked.is_err_and(|outcome| !outcome.done), "{text}");
        };
        check("");
        check("approve mx.example.org");
        check(r#"{"lift":{"relay":"mx.example.org","by":"me"}}"#);
        check(r#"{"approve":{"relay":"mx.example.org","until":1,"reason":"","for":"all"}}"#);
        check(r#"{"approve":{"relay":"","until":1,"reason":""}}"#);
        check(r#"{"lift-client":{"client":"cl1.ptr.test"}}"#);
        check(r#"{"adopt":{"relay":"a b\nc"}}"#);
        check(r#"{"approve":{"relay":"a b\nc","until":1,"reason":""}}"#);
    }
}
