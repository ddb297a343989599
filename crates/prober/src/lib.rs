//! Does STARTTLS work with a peer, as this host's sendmail would use it? One real SMTP conversation through the system's
//! OpenSSL, set up from sendmail.cf, so that it fails where sendmail fails; and what can be said of a failure.
//!
//! ```no_run
//! # async fn example() {
//! use prober::{Settings, Target, Verdict, probe};
//!
//! let address = std::net::Ipv4Addr::LOCALHOST.into();
//! let target = Target { host: None, address, port: prober::SMTP };
//! let diagnosis = probe(&target, &Settings::default()).await;
//! assert_eq!(diagnosis.verdict, Some(Verdict::Good), "{}", diagnosis.reason);
//! # }
//! ```
//!
//! `talk` holds the conversation; what was seen in it (`seen`), what OpenSSL's numbers mean (`verdict`) and what follows
//! (`diagnosis`) are pure. The peer is hostile: it may be slow, endless, no SMTP server at all, or lie. Each step has a
//! deadline, replies and certificates are bounded and made printable, and no verdict rests on a text.
//!
//! What it cannot tell: whoever sits on the way between can make any probe fail, or, with a certificate of his own, succeed;
//! sendmail, which does not check certificates, would see the same.

mod certificate;
mod context;
mod diagnosis;
mod printable;
mod probe;
mod reply;
mod seen;
mod settings;
mod talk;
mod target;
mod verdict;

pub use certificate::Certificate;
pub use context::Ask;
pub use diagnosis::{Diagnosis, Remedy, WorksIf};
pub use probe::{glance, probe};
pub use seen::{Agreed, Stage};
pub use settings::{Settings, Timeouts};
pub use target::{HostName, SMTP, Target};
pub use verdict::{Note, Verdict};
