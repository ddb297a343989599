//! The local MTA: its children, its `sendmail.cf`, what it says when asked, processes that hold an old map. Knows no
//! policy.

pub mod about;
pub mod cf;
pub mod child;
pub mod holders;
pub mod own;
pub mod prove;
