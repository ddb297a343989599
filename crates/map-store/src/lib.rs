//! The only writer of the access map: the access file's text and the map that makemap builds from it.
//!
//! [`FileStore`] reads the text, writes our entries into it, rebuilds the map, and keeps the live map open so that
//! every running sendmail notices a new one, also one that others put there. Why an entry is wanted it does not know.

mod digest;
mod displaced;
pub mod error;
mod left;
mod live;
mod lock;
mod look;
mod makemap;
mod mtime;
mod new_text;
mod outcome;
mod plan;
mod point;
mod replace;
pub mod settings;
mod source;
mod store;
mod ways;

pub use digest::{Digest, NoDigest};
pub use error::Error;
pub use live::{LiveMap, Tended};
pub use look::{Known, Look, Looked, MapIs};
pub use outcome::{Applied, Noticed, Rebuilt, Snapshot};
pub use plan::Skipped;
#[cfg(debug_assertions)]
#[doc(hidden)]
pub use point::POINTS;
pub use settings::{Class, Rebuild, Settings};
pub use store::FileStore;
