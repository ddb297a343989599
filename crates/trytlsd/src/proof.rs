//! Whether an entry does what it was written for.
//!
//! Where the K line of sendmail.cf names this very map, sendmail is asked. Otherwise, and when it does not answer in
//! time, the keys that the store has read back from the new map are the proof. No answer is no failure.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use maillog::relay::Relay;
use policy::input::Proof;
use policy::remedy::RelayRemedy;
use sendmail::own::Own;
use sendmail::prove::{self, Mta, Target};
use tracing::info;

use crate::output::Safe;

/// The sendmail that is asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) program: PathBuf,
    pub(crate) cf: PathBuf,
    pub(crate) timeout: Duration,
}

/// A relay, what its entries do, and the addresses at which they are to act.
pub(crate) type Wanted = (Relay<'static>, RelayRemedy, Vec<Option<IpAddr>>);

/// How sendmail is asked about relays.
type Ask = fn(&Mta<'_>, &[Target]) -> Vec<prove::Proof>;

/// A client: its address, and its PTR name if sendmail has confirmed it.
pub(crate) type WantedClient = (IpAddr, Option<Box<str>>);

impl Asked {
    /// What it says of its own names.
    pub(crate) fn own_names(&self) -> Result<Own, String> {
        sendmail::own::ask(&self.mta())
    }

    fn mta(&self) -> Mta<'_> {
        Mta { program: &self.program, cf: &self.cf, timeout: self.timeout }
    }

    /// Asks about all of them at once.
    pub(crate) fn prove(&self, wanted: Vec<Wanted>) -> Vec<(Relay<'static>, Proof)> {
        let (fallback, try_tls): (Vec<Wanted>, Vec<Wanted>) =
            wanted.into_iter().partition(|(_, remedy, _)| *remedy == RelayRemedy::Fallback);
        let mut proofs = self.prove_by(prove::prove, try_tls);
        proofs.extend(self.prove_by(prove::fallback::prove, fallback));
        proofs
    }

    fn prove_by(&self, ask: Ask, wanted: Vec<Wanted>) -> Vec<(Relay<'static>, Proof)> {
        let mut targets = Vec::new();
        let mut owners = Vec::new();
        for (n, (relay, _, addresses)) in wanted.iter().enumerate() {
            for address in addresses {
                if let Some(target) = Target::new(relay.as_str(), *address) {
                    targets.push(target);
                    owners.push(n);
                }
            }
        }
        let answers = ask(&self.mta(), &targets);
        let of_one = |n: usize| {
            let own = owners.iter().zip(&answers).filter(move |(owner, _)| **owner == n);
            verdict(own.map(|(_, answer)| answer))
        };
        wanted.into_iter().enumerate().map(|(n, (relay, ..))| (relay, of_one(n))).collect()
    }

    /// Asks about all of these clients at once.
    pub(crate) fn prove_clients(&self, wanted: Vec<WantedClient>) -> Vec<(IpAddr, Proof)> {
        let target = |(address, name): &WantedClient| Target::client(name.as_deref(), *address);
        let targets: Vec<Target> = wanted.iter().filter_map(target).collect();
        let mut answers = prove::prove(&self.mta(), &targets).into_iter();
        let mut of_one = |client: WantedClient| {
            let answer = target(&client).and_then(|_| answers.next());
            (client.0, verdict(answer.iter()))
        };
        wanted.into_iter().map(&mut of_one).collect()
    }
}

/// One verdict from the answers for a relay's addresses, or the one for a client: one refusal refutes, one silence leaves what was read back.
fn verdict<'a>(answers: impl Iterator<Item = &'a prove::Proof>) -> Proof {
    let mut all = Proof::Matches;
    let mut none = true;
    for answer in answers {
        none = false;
        match answer {
            prove::Proof::Matches => {}
            prove::Proof::DoesNotMatch { said } => return Proof::Refuted(said.as_str().into()),
            prove::Proof::NoAnswer { why } => {
                info!("sendmail gave no proof: {}", Safe(why));
                all = Proof::ReadBack;
            }
        }
    }
    if none { Proof::ReadBack } else { all }
}
