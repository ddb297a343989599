//! What rotation does to a log, while it is followed and while it is not.
//!
//! logrotate's steps are made by hand, nearly everywhere without threads and waiting.
#![expect(clippy::disallowed_methods, reason = "rotates logs by rename, as logrotate does")]
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::print_stdout, reason = "how many of how many came, shown with --nocapture")]

mod cut;
mod restless;
mod resume;
mod rig;
mod sequence;
mod since;
