//! What operators ask of the running daemon: each request is carried out or refused, and its answer is committed
//! together with what it changed. One that a killed daemon had not answered is answered by the next.

use ledger::Request;
use policy::input::{Change, Input};
use policy::moment::moment;

use super::Daemon;
use crate::clock;
use crate::request::{Outcome, Wish};

impl Daemon {
    /// Answers each.
    pub(super) fn answer_all(&mut self, requests: Vec<Request>) {
        for request in requests {
            let outcome = self.answer(&request);
            self.book.answer(request.id, &outcome, clock::now());
        }
    }

    fn answer(&mut self, request: &Request) -> Outcome {
        let wish = Wish::of_text(&request.what);
        let wish = wish.and_then(|wish| wish.into_request(&request.who, request.at));
        let wish = match wish {
            Ok(wish) => wish,
            Err(refused) => return refused,
        };
        let before = self.decided.len();
        self.take(Input::Request(wish), clock::now());
        let decided = self.decided.get(before..).unwrap_or_default();
        decided.iter().find_map(outcome).unwrap_or_else(|| {
            Outcome::refused("it had ended before it was read, or a later word stands".to_owned())
        })
    }
}

/// What a change says to whoever asked for it.
fn outcome(change: &Change) -> Option<Outcome> {
    match change {
        Change::Approved(_, approval) => {
            Some(Outcome::done(format!("approved until {}", moment(approval.until))))
        }
        Change::Lifted(_, keys, until) => {
            let keys = match keys.len() {
                0 => "it had no entry",
                _ => "its entry goes",
            };
            let until = moment(*until);
            Some(Outcome::done(format!("{keys}, and there is to be none until {until}")))
        }
        Change::Refused(_, hold, advice) => Some(Outcome::refused(format!("{hold}; {advice}"))),
        _ => None,
    }
}
