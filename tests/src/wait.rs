//! Waiting for something to become true, with a limit: the one way in which the tests let time pass.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often the condition is looked at: far below what a test waits for, far above what a look costs.
const PAUSE: Duration = Duration::from_millis(15);

/// Call `look` until it gives a value, at most for `limit`; then fail and name `what` was awaited.
pub fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("waited {} s in vain for: {what}", limit.as_secs_f32());
        }
        sleep(PAUSE);
    }
}
