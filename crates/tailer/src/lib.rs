//! How a log grows, rotates, is compressed and is read from standard input. What a line means is not known here.
//!
//! | type | is |
//! | --- | --- |
//! | [`Tail`] | several logs followed on one thread: the one call that a daemon makes |
//! | [`Follower`] | one log followed through rename, re-creation and copytruncate; never waits |
//! | [`Watch`] | what wakes the thread: file events as a hint, a timer always |
//! | [`Source`], [`Input`] | finished logs for a scan: files, `.gz`, patterns, standard input |
//! | [`Lines`] | bytes as read, in whole lines |
//!
//! A log is read with read(2) into one buffer of a fixed size and given out in blocks of whole lines. It is never
//! mapped into memory: a log that is truncated while it is mapped (copytruncate) ends the process with SIGBUS.
//!
//! Every block carries the place it was read from ([`FileId`] and offset), so that a caller can store a place and
//! count nothing twice.
//!
//! What an attacker could try: lines without end (skipped and counted beyond [`MAX_LINE`]), bytes that are no text
//! (passed on as they are), a flood of lines (memory stays flat; the file itself is the queue).

mod error;
mod file;
mod follower;
mod input;
mod lines;
mod pace;
mod rotated;
mod source;
mod tail;
mod watch;

pub use error::Error;
pub use file::FileId;
pub use follower::{Follower, Start, State, Step};
pub use input::Input;
pub use lines::{Block, Lines, MAX_LINE};
pub use source::{Source, sources};
pub use tail::{Next, Tail};
pub use watch::{Options, Polling, Waker, Watch, Woken};
