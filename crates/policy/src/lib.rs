//! When failures become a decision. Pure: no file, no socket, no clock.

pub mod fact;
