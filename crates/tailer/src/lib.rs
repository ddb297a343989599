//! How a log grows, rotates, is compressed and is read from standard input. What a line means is not known here.
//!
//! | type | is |
//! | --- | --- |
//! | [`Tail`] | several logs followed on one thread: the one call that a daemon makes |
//! | [`journal::Journal`] | the system's journal followed by journalctl, and whose entries are believed |
//! | [`Logs`] | either of the two |
//! | [`Follower`] | one log followed through rename, re-creation and copytruncate; never waits |
//! | [`Place`], [`Start`] | how far a log was given out; where to begin |
//! | [`Watch`] | what wakes the thread: file events as a hint, a timer always |
//! | [`Source`], [`Input`] | finished logs for a scan: files, `.gz`, patterns, standard input |
//! | [`Lines`] | bytes as read, in whole lines |
//!
//! A log is read with read(2) into one buffer of a fixed size and given out in blocks of whole lines. It is never
//! mapped into memory: a log that is truncated while it is mapped (copytruncate) ends the process with SIGBUS.
//!
//! [`Tail::place`] tells how far a log was given out. A caller that stores it together with what the lines led to, and
//! begins there again ([`Start::At`]), counts nothing twice and misses nothing, whatever rotations came in between.
//!
//! What an attacker could try: lines without end (skipped and counted beyond [`MAX_LINE`]), bytes that are no text
//! (passed on as they are), a flood of lines (memory stays flat; the file itself is the queue).

mod begin;
mod bisect;
mod error;
mod file;
mod follower;
mod former;
mod held;
mod input;
pub mod journal;
mod lines;
mod logs;
mod pace;
mod place;
mod rotated;
mod siblings;
mod source;
mod tail;
mod watch;
mod witness;

pub use begin::{Loss, Since, Start};
pub use error::Error;
pub use file::FileId;
pub use follower::{Follower, State, Step};
pub use input::Input;
pub use lines::{Block, Lines, MAX_LINE};
pub use logs::{Logs, LogsWaker};
pub use place::Place;
pub use source::{Source, sources};
pub use tail::{Next, Tail};
pub use watch::{Options, Polling, Waker, Watch, Woken};
