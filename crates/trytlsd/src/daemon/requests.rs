//! What operators ask of the running daemon: each request is carried out or refused, and its answer is committed
//! together with what it changed. One that a killed daemon had not answered is answered by the next.

use ledger::Request;
use policy::adoption::{AdoptionChange, AdoptionEnding};
use policy::clients::ClientChange;
use policy::halt::{Halt, HaltKind};
use policy::input::{Change, Effect, Input, Request as Wanted};
use policy::moment::moment;

use super::Daemon;
use crate::clock;
use crate::disarm::entries;
use crate::explained::Halted;
use crate::request::{Outcome, Wish};

impl Daemon {
    /// Answers each.
    pub(super) fn answer_all(&mut self, requests: Vec<Request>) -> anyhow::Result<()> {
        for request in requests {
            let outcome = self.answer(&request);
            self.book.answer(request.id, &outcome, clock::now());
            if self.dry_run {
                self.withhold_lines()?;
            }
        }
        Ok(())
    }

    /// Before anything is committed: else a start that is no dry run would take the line out, after its lift was refused.
    fn withhold_lines(&mut self) -> anyhow::Result<()> {
        for effect in std::mem::take(&mut self.due) {
            match effect {
                Effect::TakeOut(relay, line) => self.withhold_line(relay, &line)?,
                effect => self.due.push_back(effect),
            }
        }
        Ok(())
    }

    fn answer(&mut self, request: &Request) -> Outcome {
        let wish = Wish::of_text(&request.what);
        let wish = wish.and_then(|wish| wish.into_request(&request.who, request.at));
        let wish = match wish {
            Ok(wish) => wish,
            Err(refused) => return refused,
        };
        if matches!(wish, Wanted::Halt(_) | Wanted::GoOn) {
            return self.halt(wish);
        }
        let before = self.decided.len();
        self.take(Input::Request(wish), clock::now());
        let decided = self.decided.get(before..).unwrap_or_default();
        decided.iter().find_map(|change| outcome(change, self.dry_run)).unwrap_or_else(|| {
            Outcome::refused("it had ended before it was read, or a later word stands".to_owned())
        })
    }
}

impl Daemon {
    /// A word about the daemon as a whole.
    fn halt(&mut self, wish: Wanted) -> Outcome {
        let before = self.state.halt().cloned();
        self.take(Input::Request(wish.clone()), clock::now());
        match (wish, before) {
            (Wanted::Halt(Halt { kind: HaltKind::Disarmed, .. }), _) => {
                let count = entries(self.state.removing());
                Outcome::done(format!(
                    "{count} to be taken out; nothing is written until trytlsd resume"
                ))
            }
            (Wanted::Halt(_), None) => Outcome::done(
                "the log is read and counted, and what follows from it waits for trytlsd resume"
                    .to_owned(),
            ),
            (Wanted::Halt(_), Some(halt)) if halt.kind == HaltKind::Disarmed => Outcome::refused(
                format!("it is {}, which is more; trytlsd resume ends that", Halted::of(&halt)),
            ),
            (Wanted::Halt(_), Some(halt)) => {
                Outcome::done(format!("it is {} already", Halted::of(&halt)))
            }
            (_, Some(halt)) => Outcome::done(format!(
                "no longer {}; what was counted meanwhile is judged",
                halt.kind.word()
            )),
            (_, None) => Outcome::done("it was neither paused nor disarmed".to_owned()),
        }
    }
}

/// What a change says to whoever asked for it.
fn outcome(change: &Change, dry_run: bool) -> Option<Outcome> {
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
        Change::Client(_, change) => of_client(change),
        Change::Adoption(_, change) => of_adoption(change, dry_run),
        _ => None,
    }
}

fn of_client(change: &ClientChange) -> Option<Outcome> {
    Some(match change {
        ClientChange::Approved(approval) => {
            Outcome::done(format!("approved until {}", moment(approval.until)))
        }
        ClientChange::Lifted(entry, until) => {
            let entry = entry.as_ref().map(|entry| format!("{entry} goes"));
            let entry = entry.as_deref().unwrap_or("it had no entry");
            Outcome::done(format!("{entry}, and there is to be none until {}", moment(*until)))
        }
        ClientChange::Refused(hold, advice) => Outcome::refused(format!("{hold}; {advice}")),
        _ => return None,
    })
}

fn of_adoption(change: &AdoptionChange, dry_run: bool) -> Option<Outcome> {
    Some(match change {
        AdoptionChange::Adopted(line, _) => {
            Outcome::done(format!("{line}; it stays as it is, and the peer is probed"))
        }
        AdoptionChange::Refused(refusal) => Outcome::refused(refusal.to_string()),
        AdoptionChange::TakingOut(line, _) if dry_run => {
            Outcome::refused(format!("{line}; in dry run it stays, and is only shown"))
        }
        AdoptionChange::TakingOut(line, until) => {
            let until = moment(*until);
            Outcome::done(format!("{line}; it goes, and there is to be no entry until {until}"))
        }
        AdoptionChange::Ended(AdoptionEnding::OnWord(line)) => {
            Outcome::done(format!("{line}; it stays as it is, and nobody looks after it"))
        }
        _ => return None,
    })
}
