//! What comes back from the owner thread.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::sync::oneshot::{Receiver, Sender, channel};

use crate::error::Error;

/// What comes back from the owner thread: awaited by a task, waited for by a thread. The work was given to the owner
/// when this was made, and is done even if this is dropped.
#[derive(Debug)]
#[must_use = "whether it was done is known only from the answer"]
pub struct Answer<T>(Receiver<Result<T, Error>>);

impl<T> Answer<T> {
    /// An answer that is to come.
    pub(crate) fn promise() -> (Sender<Result<T, Error>>, Self) {
        let (sender, receiver) = channel();
        (sender, Self(receiver))
    }

    /// An answer that is there already: the work was not taken.
    pub(crate) fn refused(error: Error) -> Self {
        let (sender, answer) = Self::promise();
        drop(sender.send(Err(error)));
        answer
    }

    /// Blocks the thread until it is there; in a task, await it instead.
    ///
    /// # Errors
    /// Why the work was not done.
    pub fn wait(self) -> Result<T, Error> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut answer = pin!(self);
        loop {
            if let Poll::Ready(answer) = answer.as_mut().poll(&mut context) {
                return answer;
            }
            thread::park();
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Error::Ended)))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
