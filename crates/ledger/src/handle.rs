//! The handle that all threads have, and the thread behind it.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use jiff::Timestamp;

use crate::answer::Answer;
use crate::batch::Batch;
use crate::error::Error;
use crate::limits::Limits;
use crate::loaded::Loaded;
use crate::query;
use crate::row::{Happening, Request};
use crate::store::Store;

/// Work that may wait for the owner thread.
const BACKLOG: usize = 64;

/// Something for the owner thread to do.
type Work = Box<dyn FnOnce(&mut Option<Store>) + Send>;

/// A handle to the ledger. The owner thread ends when the last handle is gone, or with [`Ledger::close`].
#[derive(Clone, Debug)]
pub struct Ledger {
    work: SyncSender<Work>,
}

/// Opens the ledger at `path` for writing, with the common limits, and reads what it holds.
///
/// # Errors
/// If another process has it, if it is of a newer schema, or if its surroundings do not permit it. One that cannot be
/// read is no error: see [`Loaded::set_aside`].
pub fn open(path: &Path, now: Timestamp) -> Result<(Ledger, Loaded), Error> {
    open_with(path, now, Limits::default())
}

/// Opens the ledger at `path` with limits of one's own.
///
/// # Errors
/// As [`open`].
pub fn open_with(path: &Path, now: Timestamp, limits: Limits) -> Result<(Ledger, Loaded), Error> {
    let (store, loaded) = Store::open(path, now, limits)?;
    let (work, orders) = sync_channel(BACKLOG);
    thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || own(store, &orders))
        .map_err(|source| Error::Thread { source })?;
    Ok((Ledger { work }, loaded))
}

/// The owner thread.
fn own(store: Store, orders: &Receiver<Work>) {
    let mut store = Some(store);
    while let Ok(work) = orders.recv() {
        work(&mut store);
    }
}

impl Ledger {
    /// Commits the batch. The answer is there when it is on the disk; an error means that nothing of it is, and where
    /// [`Error::may_pass`] the same batch can be given again: keep an `Arc` of it.
    pub fn commit(&self, batch: impl Into<Arc<Batch>>) -> Answer<()> {
        let batch = batch.into();
        let (reply, answer) = Answer::promise();
        self.give(answer, move |store| {
            let done = with(store, |store| store.commit(&batch));
            let committed = done.is_ok();
            // Whoever asked may have gone; it is committed all the same.
            drop(reply.send(done));
            if let (true, Some(store)) = (committed, store) {
                store.keep_house(batch.now, batch.rows());
            }
        })
    }

    /// The latest happenings since then, of one relay or of all, at most `limit`; the oldest first.
    pub fn history(
        &self,
        relay: Option<&str>,
        since: Timestamp,
        limit: u32,
    ) -> Answer<Vec<Happening>> {
        let relay = relay.map(str::to_owned);
        self.ask(move |store| {
            query::history(store.connection(), relay.as_deref(), since, limit)
                .map_err(|source| store.fault("read the history in", source))
        })
    }

    /// Queues what an operator asks for; the answer is its number. It is on the disk then. Carried out, or refused, it
    /// is settled by a batch, together with what it changed.
    pub fn add_request(&self, who: String, what: String, at: Timestamp) -> Answer<i64> {
        self.ask(move |store| store.add_request(&who, &what, at))
    }

    /// The requests that are not settled, the oldest first. They stay until they are settled.
    pub fn open_requests(&self) -> Answer<Vec<Request>> {
        self.ask(|store| {
            query::open_requests(store.connection())
                .map_err(|source| store.fault("read the requests in", source))
        })
    }

    /// Whether another process or connection has written since this was last asked, or since the opening; what this
    /// ledger commits itself is no news. It costs no read of a table.
    pub fn has_news(&self) -> Answer<bool> {
        self.ask(Store::has_news)
    }

    /// One request, with its outcome if it has one; none if there is no such number, or no longer.
    pub fn request(&self, id: i64) -> Answer<Option<Request>> {
        self.ask(move |store| {
            query::request(store.connection(), id)
                .map_err(|source| store.fault("read the requests in", source))
        })
    }

    /// Closes the ledger after what was given before. The answer is there when the lock is free; other handles are told
    /// that it has ended.
    pub fn close(self) -> Answer<()> {
        let (reply, answer) = Answer::promise();
        self.give(answer, move |store| {
            drop(store.take());
            drop(reply.send(Ok(())));
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, Error> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = Answer::promise();
        self.give(answer, move |store| drop(reply.send(with(store, work))))
    }

    /// Gives work to the owner. Work that is not taken drops the reply; then the answer is one of our own.
    fn give<T>(
        &self,
        answer: Answer<T>,
        work: impl FnOnce(&mut Option<Store>) + Send + 'static,
    ) -> Answer<T> {
        match self.work.try_send(Box::new(work)) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => answer,
            Err(TrySendError::Full(_)) => Answer::refused(Error::Busy),
        }
    }
}

/// Does the work if the ledger is open still. One that turned out to be damaged is closed: it has been set aside.
fn with<T>(
    store: &mut Option<Store>,
    work: impl FnOnce(&mut Store) -> Result<T, Error>,
) -> Result<T, Error> {
    let done = store.as_mut().ok_or(Error::Ended).and_then(work);
    if matches!(done, Err(Error::Damaged { .. } | Error::Unreadable { .. })) {
        *store = None;
    }
    done
}
