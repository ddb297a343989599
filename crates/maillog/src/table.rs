//! What is remembered of processes until their next line, in bounded space.
//!
//! Entries are told apart by process id and host. They age by the time in the log, judged only by lines of their own
//! host (clocks and zones differ between hosts). At the limit the eighth that was silent longest is forgotten: whoever
//! can write so many lines can write any line.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::prefix::Prefix;
use crate::stamp::Stamp;

/// The most that is remembered of one process: sendmail tries at most 100 hosts for a message.
const MOST_PER_PROCESS: usize = 100;
/// Slots of the quick test whether a process may be known.
const SLOTS: usize = 16_384;

/// Pushes between two looks for what is old, at least: each clears the slots.
const SWEEP: u64 = 1024;

/// Something about processes.
#[derive(Debug)]
pub(crate) struct Table<T> {
    /// By process id; nearly always one host for each.
    entries: HashMap<u32, Vec<Entry<T>>, RandomState>,
    /// How many processes fall into each slot. `most_items` is less than a slot can count.
    slots: Vec<u16>,
    /// All items of all entries.
    items: usize,
    most_items: usize,
    /// In seconds.
    lifetime: i64,
    /// Counts the pushes.
    turn: u64,
    /// The turn at which the old are looked for next.
    next_sweep: u64,
    /// Something was remembered or taken since this was last asked.
    changed: bool,
}

#[derive(Debug)]
struct Entry<T> {
    host: Box<[u8]>,
    last: Stamp,
    turn: u64,
    items: Vec<T>,
}

impl<T> Table<T> {
    /// `most_items` below 65,536, `lifetime` in seconds.
    pub(crate) fn new(most_items: u16, lifetime: i64) -> Self {
        Self {
            entries: HashMap::default(),
            slots: vec![0; SLOTS],
            items: 0,
            most_items: usize::from(most_items),
            lifetime,
            turn: 0,
            next_sweep: 0,
            changed: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Whether something may be remembered of a process, on whatever host. Never wrong when it says no.
    pub(crate) fn may_know(&self, pid: u32) -> bool {
        self.slots.get(slot(pid)).is_some_and(|count| *count > 0)
    }

    /// Remembers one more item of the line's process.
    pub(crate) fn push(&mut self, line: &Prefix<'_>, item: T) {
        self.turn += 1;
        self.changed = true;
        if self.items >= self.most_items {
            self.sweep(line);
            self.forget_the_silent();
        } else if self.turn >= self.next_sweep {
            self.sweep(line);
        }
        let (turn, last, lifetime) = (self.turn, line.stamp, self.lifetime);
        let entries = self.entries.entry(line.pid).or_default();
        let Some(entry) = entries.iter_mut().find(|e| *e.host == *line.host) else {
            entries.push(Entry { host: line.host.into(), last, turn, items: vec![item] });
            self.items += 1;
            if let Some(count) = self.slots.get_mut(slot(line.pid)) {
                *count += 1;
            }
            return;
        };
        let before = entry.items.len();
        if entry.is_old(last, lifetime) {
            entry.items.clear();
        }
        if entry.items.len() >= MOST_PER_PROCESS {
            entry.items.remove(0);
        }
        entry.items.push(item);
        (entry.last, entry.turn) = (last, turn);
        self.items = self.items - before + entry.items.len();
    }

    /// Takes what is remembered of the line's process, unless it is too old.
    pub(crate) fn take(&mut self, line: &Prefix<'_>) -> Vec<T> {
        if !self.may_know(line.pid) {
            return Vec::new();
        }
        let Some(entries) = self.entries.get_mut(&line.pid) else { return Vec::new() };
        let Some(at) = entries.iter().position(|e| *e.host == *line.host) else {
            return Vec::new();
        };
        self.changed = true;
        let entry = entries.swap_remove(at);
        if entries.is_empty() {
            self.entries.remove(&line.pid);
        }
        self.items -= entry.items.len();
        if let Some(count) = self.slots.get_mut(slot(line.pid)) {
            *count -= 1;
        }
        if entry.is_old(line.stamp, self.lifetime) { Vec::new() } else { entry.items }
    }

    /// Whether something was remembered or taken since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Process, host, last stamp and items of all that is remembered, what was pushed last first.
    pub(crate) fn latest_first(&self) -> impl Iterator<Item = (u32, &[u8], Stamp, &[T])> {
        let mut all: Vec<(u32, &Entry<T>)> =
            self.entries.iter().flat_map(|(pid, e)| e.iter().map(|e| (*pid, e))).collect();
        all.sort_unstable_by_key(|(_, entry)| std::cmp::Reverse(entry.turn));
        all.into_iter().map(|(pid, e)| (pid, &*e.host, e.last, &*e.items))
    }

    /// Forgets what is too old by the clock of the line's host. Next after as many pushes as there are entries, so
    /// that its cost for each push stays the same.
    fn sweep(&mut self, line: &Prefix<'_>) {
        let lifetime = self.lifetime;
        self.retain(|entry| *entry.host != *line.host || !entry.is_old(line.stamp, lifetime));
        self.next_sweep = self.turn + u64::try_from(self.entries.len()).unwrap_or(0).max(SWEEP);
    }

    /// Brings the items below seven eighths of the limit.
    fn forget_the_silent(&mut self) {
        let keep = self.most_items / 8 * 7;
        let mut turns: Vec<_> =
            self.entries.values().flatten().map(|e| (e.turn, e.items.len())).collect();
        turns.sort_unstable();
        let mut left = self.items;
        let last_forgotten = turns.iter().take_while(|(_, items)| {
            let too_many = left > keep;
            left -= items;
            too_many
        });
        if let Some((last, _)) = last_forgotten.last().copied() {
            self.retain(|entry| entry.turn > last);
        }
    }

    fn retain(&mut self, keep: impl Fn(&Entry<T>) -> bool) {
        self.slots.fill(0);
        self.items = 0;
        let (slots, items) = (&mut self.slots, &mut self.items);
        self.entries.retain(|pid, entries| {
            entries.retain(&keep);
            *items += entries.iter().map(|e| e.items.len()).sum::<usize>();
            if let Some(count) = slots.get_mut(slot(*pid)) {
                *count += u16::try_from(entries.len()).unwrap_or(u16::MAX);
            }
            !entries.is_empty()
        });
    }
}

impl<T> Entry<T> {
    fn is_old(&self, now: Stamp, lifetime: i64) -> bool {
        now.seconds_since(self.last) > lifetime
    }
}

fn slot(pid: u32) -> usize {
    usize::try_from(pid).unwrap_or(0) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(host: &'static str, pid: u32, second: i32) -> Prefix<'static> {
        let stamp = Stamp::Yearless { month: 11, day: 23, second };
        Prefix { stamp, host: host.as_bytes(), program: b"sm-mta", pid }
    }

    #[test]
    fn items_of_a_process_come_back_once() {
        let mut table = Table::new(100, 60);
        table.push(&line("a", 1, 0), 'x');
        table.push(&line("a", 1, 1), 'y');
        table.push(&line("b", 1, 1), 'z');
        assert!(table.may_know(1) && !table.may_know(2));
        assert_eq!(table.take(&line("a", 2, 2)), []);
        assert_eq!(table.take(&line("c", 1, 2)), []);
        assert_eq!(table.take(&line("a", 1, 2)), ['x', 'y']);
        assert_eq!(table.take(&line("a", 1, 2)), []);
        assert_eq!(table.take(&line("b", 1, 2)), ['z']);
        assert!(table.is_empty() && !table.may_know(1));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut table = Table::new(100, 60);
        table.push(&line("a", 1, 0), 'x');
        assert_eq!(table.take(&line("a", 1, 61)), []);
        table.push(&line("a", 1, 0), 'x');
        table.push(&line("a", 1, 61), 'y');
        assert_eq!(table.take(&line("a", 1, 62)), ['y']);
        for second in 0..5000 {
            table.push(&line("a", u32::try_from(second).unwrap(), second), 'x');
            table.push(&line("b", 7, 0), 'x');
        }
        assert!(table.items < 2500, "{}", table.items);
        assert!(!table.take(&line("b", 7, 0)).is_empty(), "judged by the clock of another host");
    }

    #[test]
    fn space_is_bounded() {
        let mut table = Table::new(800, 60);
        for pid in 0..10_000 {
            table.push(&line("a", pid, 0), pid);
            assert!(table.items <= 800);
        }
        assert_eq!(table.take(&line("a", 9_999, 0)), [9_999]);
        assert_eq!(table.take(&line("a", 9_999 - 690, 0)), [9_999 - 690]);
        assert_eq!(table.take(&line("a", 0, 0)), [0_u32; 0]);
        let counted: usize = table.entries.values().flatten().map(|e| e.items.len()).sum();
        assert_eq!(counted, table.items);
        for n in 0..1000 {
            table.push(&line("a", 20_000, 0), n);
        }
        assert_eq!(table.take(&line("a", 20_000, 0)), (900..1000).collect::<Vec<_>>());
    }
}
