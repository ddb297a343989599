//! What sendmail writes. Pure: no file, no clock, no policy.

pub mod event;
pub mod relay;
pub mod stamp;
