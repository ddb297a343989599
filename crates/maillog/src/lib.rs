//! What sendmail writes. Pure: no file, no clock, no policy.
//!
//! Bytes go in, [`event::Event`]s come out. [`finder::Finder`] searches whole blocks for the few literals of the
//! [`kinds::Kinds`] asked for and reads only the lines they stand in; [`plain::Plain`] reads every line and must say
//! the same. Both hand their lines to one strict reader, so they can differ only in which lines they look at.
//!
//! A log is foreign text: senders, recipients, host names and replies of other servers stand in it. What sendmail
//! writes itself is known by its place (the start of a message, the order of the fields), never by its wording.

pub mod calendar;
mod client;
mod cursor;
mod delivery;
pub mod event;
pub mod evidence;
pub mod finder;
mod flaw;
mod joiner;
pub mod kinds;
mod lines;
mod owned;
pub mod pattern;
pub mod pending;
pub mod plain;
pub mod prefix;
pub mod reading;
pub mod relay;
pub mod reply;
mod ruleset;
mod server;
pub mod shape;
pub mod stamp;
mod table;

pub use flaw::Flaw;
