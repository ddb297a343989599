//! The receiving side: clients whose handshake with us breaks, and that would deliver if STARTTLS were not offered.
//!
//! Off unless [`crate::rules::Rules::receiving`] is set. A client has no more than an address that is certain, and anybody
//! can connect and break a handshake: scanners do it all day. So a client counts only if it is a mail server by what it
//! does: it has handed mail over to us before, or it keeps trying over hours; what speaks HTTP never counts. A message
//! that comes in after all, or a handshake that succeeds, clears what was counted: then its mail gets through.
//!
//! The entry is `Srv_Features:<address> S`. sendmail confirms a PTR name itself and says so in the log, so nothing is asked
//! of DNS. Who breaks his own handshakes turns TLS off for himself, and for whoever shares his address, and for nobody
//! else; and there may be only so many entries, of both sides together.
//!
//! The module is closed in itself: its own table, its own way from evidence to entry, its own answers of the map. With the
//! relays it shares rules, limits, the never-list, the host's own names and the admin's lines.

mod client;
mod guard;
mod map;
mod way;
mod word;

use std::net::IpAddr;

use access::managed::Managed;
use access::remedy::Tagged;
use serde::{Deserialize, Serialize};

pub use self::client::{Client, Entry, Standing};
pub use self::guard::judge;
pub(crate) use self::map::{go_on, hear, on_look};
pub(crate) use self::way::{arm, on_event, resume, retry, take_all_out, tick};
pub use self::way::{entry_for, rules_for, weight};
pub use self::word::refusal;
pub(crate) use self::word::{approve, end_terms, lift_on_word};
use crate::approval::Approval;
use crate::evidence::Weight;
use crate::hold::Hold;
use crate::input::Proof;
use crate::table::Table;

/// The clients that are known, by address.
#[derive(Clone, Debug)]
pub struct Clients {
    pub(crate) table: Table<Client>,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEdit {
    /// Write the entry for the client.
    Add(IpAddr, Managed),
    /// Take it out.
    Remove(IpAddr, Tagged),
}

/// What became of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// The entry is in the file and in the map.
    Written,
    /// It is in neither any more.
    Removed,
    /// Dry run: it was shown and not written.
    Withheld,
    /// The admin has an entry of his own with this key; says which.
    Contradicted(Box<str>),
    /// The access file was changed by others since it was last looked at; it is as they left it.
    Overtaken,
    /// The entry could not be written; the map is as before. (A removal that failed has no answer: it is asked for again.)
    Failed(Box<str>),
}

/// What is learnt of a client's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientNews {
    /// What became of an edit.
    Map(IpAddr, Became),
    /// What sendmail says of the entry.
    Proof(IpAddr, Proof),
}

/// Something that is so from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientChange {
    /// It has passed the threshold.
    Candidate(Weight),
    /// A guard speaks.
    Held(Hold),
    /// Dry run: this entry would be written.
    Proposed(Tagged),
    /// It is in force.
    Active(Tagged),
    /// What the proof said.
    Proven(Proof),
    /// Somebody took its entry out, if it had one: it gets none until then, in seconds since 1970.
    Lifted(Option<Tagged>, u32),
    /// An operator overrules what holds it back.
    Approved(Approval),
    /// He may not, and is told what to change instead.
    Refused(Hold, &'static str),
    /// The admin has an entry of his own with this key: ours is not needed.
    Replaced(Tagged),
    /// Others rewrote the file and our block with it: it is to be put back.
    Wiped(Tagged),
    /// It was put back after others rewrote the file.
    PutBack(Tagged),
    /// It was in force and is taken out, since something speaks against it now.
    Withdrawn(Tagged, Hold),
    /// Its time is over: it is taken out, and TLS is offered again.
    Expired(Tagged),
    /// An operator has disarmed all: it is taken out.
    Disarmed(Tagged),
    /// Mail came in, or a handshake succeeded: what was counted is void.
    Cleared,
}

/// Which key is written for a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKey {
    /// The address.
    #[default]
    Address,
    /// The PTR name where sendmail itself has confirmed it, and it covers no other host; else the address.
    Name,
}

impl Clients {
    pub(crate) fn new(cap: usize) -> Self {
        Self { table: Table::new(cap) }
    }

    /// What is known of a client.
    pub fn get(&self, address: IpAddr) -> Option<&Client> {
        self.table.get(&text(address))
    }

    /// All, by address.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &Client)> {
        let all = self.table.iter();
        all.filter_map(|(address, client)| Some((address.parse().ok()?, client)))
    }

    /// Entries in force, proposed, or on their way.
    pub(crate) fn entries(&self) -> usize {
        self.table.iter().filter(|(_, client)| client.standing.entry().is_some()).count()
    }

    /// Entries that are to be taken out, and may still be in the file.
    pub(crate) fn removing(&self) -> usize {
        let removing = |client: &Client| matches!(client.standing, Standing::Removing(_));
        self.table.iter().filter(|(_, client)| removing(client)).count()
    }

    /// The addresses of the clients that fit.
    fn which(&self, fits: impl Fn(&Client) -> bool) -> Vec<IpAddr> {
        let fitting = self.table.iter().filter(|(_, client)| fits(client));
        fitting.filter_map(|(address, _)| address.parse().ok()).collect()
    }
}

/// The name of a client's row: its address; IPv4 in IPv6 clothes is IPv4.
fn text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}
