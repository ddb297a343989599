//! When failures become a decision: each guard's rule, which key, and nothing that touches the world.
//!
//! [`step::step`] takes one [`input::Input`] and gives changes and effects; `run`, `scan` and the tests are the same
//! heart and differ only in which effects they carry out. It reads no clock, no file and no socket, and it cannot fail.

pub mod adoption;
pub mod alarm;
pub mod approval;
pub mod asked;
pub mod candidate;
pub mod choice;
pub mod clients;
pub mod domains;
pub mod evidence;
pub mod fact;
mod fallback;
mod few;
pub mod figures;
pub mod fleet;
pub mod guard;
pub mod halt;
pub mod handshake;
pub mod hold;
pub mod host;
pub mod input;
mod lately;
pub mod life;
mod map;
pub mod moment;
pub mod never;
pub mod probation;
mod probes;
mod probing;
pub mod queue;
pub mod record;
pub mod remedy;
mod renewal;
pub mod requests;
mod ring;
pub mod rules;
pub mod state;
pub mod step;
pub mod successes;
mod suspect;
pub mod table;
mod withdraw;
