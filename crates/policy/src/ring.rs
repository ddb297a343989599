//! How many there were within the last hour, in twelve counts of five minutes: adding, taking back and summing cost the
//! same however many there are.

/// How far back is counted, in seconds.
pub(crate) const HOUR: u32 = 3600;

const DAY: u32 = 24 * HOUR;
const PIECE: u32 = HOUR / 12;
const PIECES: usize = 13;

/// The counts. The present piece and the twelve before it: an hour, and up to five minutes more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ring {
    counts: [u32; PIECES],
    /// The number of the latest piece since 1970.
    latest: u32,
}

impl Ring {
    /// One more, at that second. One that is older than what is counted is passed over.
    pub(crate) fn add(&mut self, second: u32) {
        self.advance(second);
        if let Some(count) = self.count(second) {
            *count = count.saturating_add(1);
        }
    }

    /// One that was added at that second is taken back, if it is still counted.
    pub(crate) fn take_back(&mut self, second: u32) {
        if let Some(count) = self.count(second) {
            *count = count.saturating_sub(1);
        }
    }

    /// How many there are as of that second.
    pub(crate) fn sum(&mut self, now: u32) -> u32 {
        self.advance(now);
        self.counts.iter().fold(0, |sum: u32, count| sum.saturating_add(*count))
    }

    fn count(&mut self, second: u32) -> Option<&mut u32> {
        let piece = second / PIECE;
        let counted = piece <= self.latest && (self.latest - piece) < u32::try_from(PIECES).ok()?;
        counted.then(|| self.counts.get_mut(slot(piece))).flatten()
    }

    /// Empties the pieces between the latest and that second's. Time that goes backwards a little changes nothing: two
    /// logs are read one after the other. By a day, it was a clock that was wrong, and all is counted anew.
    fn advance(&mut self, second: u32) {
        let piece = second / PIECE;
        if self.latest.saturating_sub(piece) > DAY / PIECE {
            (self.counts, self.latest) = ([0; PIECES], piece);
        }
        if piece <= self.latest {
            return;
        }
        if (piece - self.latest) as usize >= PIECES {
            self.counts = [0; PIECES];
        } else {
            for passed in self.latest + 1..=piece {
                if let Some(count) = self.counts.get_mut(slot(passed)) {
                    *count = 0;
                }
            }
        }
        self.latest = piece;
    }
}

fn slot(piece: u32) -> usize {
    piece as usize % PIECES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hour() {
        let mut ring = Ring::default();
        let start = 1_800_000_000;
        for minute in 0..60 {
            ring.add(start + minute * 60);
        }
        assert_eq!(ring.sum(start + 59 * 60), 60);
        assert_eq!(ring.sum(start + 70 * 60), 50);
        ring.take_back(start + 30 * 60);
        ring.take_back(start); // No longer counted.
        assert_eq!(ring.sum(start + 70 * 60), 49);
        ring.add(start + 20 * 60); // Late, but still within.
        assert_eq!(ring.sum(start + 70 * 60), 50);
        assert_eq!(ring.sum(start + 600 * 60), 0);
        ring.add(start);
        assert_eq!(ring.sum(start + 600 * 60), 0);
        // A clock that was a month ahead.
        ring.add(start + 30 * DAY);
        ring.add(start);
        assert_eq!(ring.sum(start + 60), 1);
    }
}
