//! Durable state in one SQLite file: the place in each log, what is known of each relay, requests, history.
//! What a state means it does not know: records, places and pending attempts are texts that others write and read.
//!
//! **Why a database, and why this one.** Nothing is counted twice and nothing is missed only if the place in the log
//! and the counters change together, so every [`Batch`] is one transaction, and `commit` answers when it is on the
//! disk. SQLite does that in one file, survives `kill -9` and loss of power by a method that is documented and well
//! tested, and a postmaster can read it at night with `sqlite3 ledger.db`. An embedded key-value store would compile
//! faster and could not be asked anything.
//!
//! **Why `synchronous=FULL`.** In WAL mode `NORMAL` keeps the file whole but may lose the last commits when power is
//! lost. A lost commit after the access file has been changed is an entry that nobody remembers having intended. FULL
//! costs one `fsync` a commit, seen with strace before each answer, as is that of the folder when the files are made;
//! and there is one commit for a block of the log, not one for a line.
//!
//! **One owner.** One thread owns the one connection; all others send it work over a bounded channel ([`Ledger`]). A
//! second process that wants to write is refused by a lock file. Readers ([`View`]) are welcome, and so are an operator's
//! requests ([`Inbox`]): a row that the owner finds when it looks.
//!
//! **What fails.** A file that cannot be read (garbage, truncated, another program's) is set aside as
//! `ledger.db.broken-YYYYMMDDTHHMMSS` and a fresh one is begun; so is one that turns out to be damaged while in use: the
//! commit fails, and the next start begins afresh. State is then rebuilt from our block of the access file and the log;
//! a crash loop would serve nobody. A file of a newer schema is refused and left alone: it is no damage. No space, a
//! read-only file system, a missing right: an error that says what to do; the last commit stands, and the same batch
//! can be given again. Not for network file systems: WAL needs memory shared by all readers.
//!
//! **What an attacker could try.** Names of relays come from MX records that anybody can write. They reach SQLite only
//! as bound parameters. Texts have a cap ([`TEXT_MAX`], [`RECORD_MAX`], [`PENDING_MAX`]); tables have one too
//! ([`Limits`]), so a flood of invented relays costs a bounded file. Who can write into the folder of the ledger can
//! write the ledger; the folder belongs to the user that trytlsd runs as, and new files are readable by its group, no
//! further.

mod answer;
mod aside;
mod batch;
mod connect;
mod error;
mod files;
mod handle;
mod inbox;
mod limits;
mod loaded;
mod lock;
mod purge;
mod query;
mod row;
mod schema;
mod store;
mod view;

pub use answer::Answer;
pub use batch::{Batch, LINES_KEPT, PENDING_MAX, RECORD_MAX, TEXT_MAX};
pub use error::Error;
pub use handle::{Ledger, open, open_with};
pub use inbox::Inbox;
pub use limits::Limits;
pub use loaded::Loaded;
pub use lock::holder;
pub use query::Wanted;
pub use row::{Happening, Line, RelayChange, Request, Settled, StsRow, Success, VoteRow};
pub use view::View;
