//! What goes into the heart and what comes out of it: the closed sets that the whole house talks in.

use std::net::IpAddr;

use access::admins::AdminsLine;
use access::lookup::Entries;
use access::managed::Managed;
use access::remedy::Tagged;
use maillog::event::Event;
use maillog::relay::Relay;

use crate::adoption::{AdoptionChange, LineNews, Word};
use crate::alarm::{About, Alarm, Outside};
use crate::approval::Approval;
use crate::clients::{ClientChange, ClientEdit, ClientNews};
use crate::evidence::Weight;
use crate::fact::{Fact, Question};
use crate::fleet::Vote;
use crate::halt::Halt;
use crate::hold::Hold;
use crate::life::Probed;
use crate::remedy::RelayRemedy;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The log says something. `now` of the step is when: the arrival of a live line, the stamp of an old one.
    Event(&'a Event<'a>),
    /// A question was answered.
    Fact(Fact),
    /// The map, or what became of a change of it.
    Map(MapState),
    /// What sendmail answered when it was asked about an entry.
    Proof(Relay<'static>, Proof),
    /// What the probe of the relay found that began then, in seconds since 1970.
    Probed(Relay<'static>, u32, Probed),
    /// What is learnt of a client's entry.
    Client(ClientNews),
    /// What became of the taking out of a line of the admin's that is adopted for the relay.
    Line(Relay<'static>, LineNews),
    /// What the MTAs of the fleet say: all rows of the directory that live, ours among them.
    Votes(Vec<Vote>),
    /// What is done outside fails, and why; none: it works.
    Trouble(Outside, Option<Box<str>>),
    /// An operator's word.
    Request(Request),
    /// Time passed.
    Tick,
}

/// The access file, as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The entries of our block.
    pub ours: Vec<Managed>,
    /// Whether the block is there, with or without entries. A directory has none: always.
    pub block: bool,
    /// Whether anything outside the block is other than when it was last looked at.
    pub rest_changed: bool,
    /// The admin's own lines outside the block, as far as they matter to TLS.
    pub admins: Entries,
}

/// The state of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapState {
    /// The access file at the start: what is in force, and what became of an edit that was under way.
    Loaded(Look),
    /// The access file after others changed it.
    Seen(Look),
    /// The relay's keys are in the file and in the map.
    Written(Relay<'static>, Vec<Tagged>),
    /// The relay's keys are in neither any more.
    Removed(Relay<'static>, Vec<Tagged>),
    /// Dry run: they were shown and not written.
    Withheld(Relay<'static>, Vec<Tagged>),
    /// The admin has entries of his own for these keys that say otherwise; says which.
    Contradicted(Relay<'static>, Vec<Tagged>, Box<str>),
    /// The access file was changed by others since it was last looked at; it is as they left it.
    Overtaken(Relay<'static>, Vec<Tagged>),
    /// They could not be written, or not be taken out; file and map are as before.
    Failed(Relay<'static>, Vec<Tagged>, Box<str>),
}

/// The outcome of a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// sendmail acts on the entries: it does not try TLS with the relay, or falls back.
    Matches,
    /// sendmail was not asked or did not answer; the keys were read back from the map.
    ReadBack,
    /// Nobody could say: the map is rebuilt by others, later.
    NotYet,
    /// sendmail was asked and does not act on them.
    Refuted(Box<str>),
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Dry run has ended: what was proposed goes through the guards again and is then written.
    Arm,
    /// Dry run has begun again: what was proposed and not written yet stays so.
    Disarm,
    /// The log has been read up to its end: from now on, what comes in is judged, and so is what was gathered.
    Resume,
    /// The relay may have its entry although a guard speaks.
    Approve(Relay<'static>, Approval),
    /// The relay gets no entry until then, in seconds since 1970; one that it has goes. None: for the hold-off of the
    /// rules.
    Lift(Relay<'static>, Option<u32>),
    /// The client may have its entry although a guard speaks.
    ApproveClient(IpAddr, Approval),
    /// The client gets no entry until then, as with a relay.
    LiftClient(IpAddr, Option<u32>),
    /// The line that the admin wrote for the relay is looked after like an entry of ours.
    Adopt(Relay<'static>, Word),
    /// It is no more.
    EndAdoption(Relay<'static>),
    /// Nothing is to be decided, until [`Request::GoOn`].
    Halt(Halt),
    /// The halt ends.
    GoOn,
}

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer the question.
    Ask(Question),
    /// Change the map.
    Edit(Edit),
    /// Probe the relay at these addresses; at those of its name if there are none. It begins now, in seconds since 1970:
    /// its answer is told by that from those of others.
    Probe(Relay<'static>, Vec<IpAddr>, u32),
    /// Have these messages delivered, by queue id: the way to the relay is free.
    Flush(Relay<'static>, Vec<Box<str>>),
    /// Ask sendmail whether it acts on the entries of the relay, which do that, at each address.
    Prove(Relay<'static>, RelayRemedy, Vec<Option<IpAddr>>),
    /// Take a line of the admin's out, on an operator's word: it is adopted for the relay.
    TakeOut(Relay<'static>, AdminsLine),
    /// Write our row about a relay into the directory, over the one that is there.
    Vote(Vote),
    /// Take it out.
    Unvote(Relay<'static>),
    /// Change the map for a client.
    EditClient(ClientEdit),
    /// Ask sendmail whether it acts on the entry of the client, by address and confirmed PTR name.
    ProveClient(IpAddr, Option<Box<str>>),
}

/// A change of the map for one relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The relay.
    pub relay: Relay<'static>,
    /// Entries to add.
    pub add: Vec<Managed>,
    /// Keys to take out.
    pub remove: Vec<Tagged>,
}

/// Why entries are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer is mended: two good probes in a row.
    Mended,
    /// sendmail has not used them for long.
    Unused,
    /// Their time has ended, and nobody answers there.
    Unreachable,
    /// Of entries that let sendmail fall back: no handshake and no probe broke for a week, and the last probe was good.
    Quiet,
    /// Of the same: sendmail cannot fall back any more.
    NoFallback,
    /// An operator has disarmed all.
    Disarmed,
    /// Another MTA of the fleet took them out.
    Fleet,
    /// Their time has ended, and too few MTAs of the fleet find the peer broken.
    NotRenewed,
}

/// Something that is so from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The relay has passed the threshold; facts are gathered.
    Candidate(Relay<'static>, Weight),
    /// A guard speaks.
    Held(Relay<'static>, Hold),
    /// Dry run: these keys would be written.
    Proposed(Relay<'static>, Vec<Tagged>),
    /// These keys are in force.
    Active(Relay<'static>, Vec<Tagged>),
    /// These keys are in force: another MTA of the fleet wrote them.
    Joined(Relay<'static>, Vec<Tagged>),
    /// What the proof said.
    Proven(Relay<'static>, Proof),
    /// A probe was answered.
    Probed(Relay<'static>, Probed),
    /// The entries stand for another term: until then, in seconds since 1970.
    Renewed(Relay<'static>, Vec<Tagged>, u32),
    /// The entries are taken out, for nobody needs them any more.
    Over(Relay<'static>, Vec<Tagged>, Ending),
    /// Somebody took entries of ours out: they stay out until then, in seconds since 1970.
    Lifted(Relay<'static>, Vec<Tagged>, u32),
    /// The admin has written entries of his own for these keys: ours are not needed.
    Replaced(Relay<'static>, Vec<Tagged>),
    /// Others rewrote the file and our block with it: the relay's keys are to be put back.
    Wiped(Relay<'static>, Vec<Tagged>),
    /// They are in force again.
    PutBack(Relay<'static>, Vec<Tagged>),
    /// TLS worked: what was counted against the relay is void.
    Cleared(Relay<'static>),
    /// An operator overrules what holds the relay back.
    Approved(Relay<'static>, Approval),
    /// He may not, and is told what to change instead.
    Refused(Relay<'static>, Hold, &'static str),
    /// Entries that were in force are taken out, since TLS must not be off.
    Withdrawn(Relay<'static>, Vec<Tagged>, Hold),
    /// A line of the admin's that is adopted for the relay, or was to be.
    Adoption(Relay<'static>, AdoptionChange),
    /// A client of ours, by address.
    Client(IpAddr, ClientChange),
    /// Nothing is decided, by an operator's word.
    Halted(Halt),
    /// The halt has ended.
    WentOn(Halt),
    /// Something needs a person.
    Raised(Alarm),
    /// It does no more.
    Ended(About),
}
