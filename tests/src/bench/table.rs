//! The figures of one log, a line for each program.

use std::fmt::Write as _;

use super::measure::Cost;
use super::megabytes;
use super::tools::Tool;

/// One program's median.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) tool: Tool,
    /// The medians; the output is that of the last run.
    pub(super) cost: Cost,
    /// The least and the most CPU time.
    range: (f64, f64),
}

impl Row {
    /// From all runs; none if there was none.
    pub(super) fn of(tool: Tool, mut runs: Vec<Cost>) -> Option<Self> {
        let output = runs.last()?.output.clone();
        runs.sort_by(|a, b| a.wall.total_cmp(&b.wall));
        let wall = runs.get(runs.len() / 2)?.wall;
        runs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
        let cpu = runs.get(runs.len() / 2)?.cpu;
        let range = (runs.first()?.cpu, runs.last()?.cpu);
        // Of memory the most counts, not the median.
        let rss = runs.iter().map(|run| run.rss).max()?;
        Some(Self { tool, cost: Cost { cpu, wall, rss, output }, range })
    }

    /// What a program that only counts has counted.
    pub(super) fn count(&self) -> Option<u64> {
        match std::str::from_utf8(&self.cost.output).ok()?.trim() {
            // ripgrep says nothing where nothing was found.
            "" => Some(0),
            text => text.parse().ok(),
        }
    }
}

/// The table; the first row is the one that the others are compared with.
pub(super) fn render(title: &str, bytes: u64, rows: &[Row]) -> String {
    let mut text = format!("{title}\n");
    let _infallible = writeln!(
        text,
        "  {:<30} {:>7} {:>15} {:>7} {:>7} {:>7} {:>9}  trytlsd takes",
        "", "CPU s", "(least..most)", "wall s", "GB/CPUs", "MB", "counted"
    );
    let ours = rows.first().map_or(0.0, |row| row.cost.cpu);
    for (number, row) in rows.iter().enumerate() {
        let Cost { cpu, wall, rss, .. } = row.cost;
        let range = format!("({:.3}..{:.3})", row.range.0, row.range.1);
        let count = row.count().map_or(String::new(), |count| count.to_string());
        let rate = bytes as f64 / 1e9 / cpu.max(1e-6);
        let ratio = match number {
            0 => String::new(),
            _ => format!("{:.2} x", ours / cpu.max(1e-6)),
        };
        let line = format!(
            "  {:<30} {cpu:>7.3} {range:>15} {wall:>7.3} {rate:>7.2} {:>7.1} {count:>9}  {ratio}",
            row.tool.name(),
            megabytes(rss),
        );
        let _infallible = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let run = |cpu, wall, rss| Cost { cpu, wall, rss, output: b"12\n".to_vec() };
        let runs = vec![run(3.0, 1.0, 5), run(1.0, 9.0, 7), run(2.0, 2.0, 6)];
        let row = Row::of(Tool::Grep, runs).unwrap();
        assert_eq!((row.cost.cpu, row.cost.wall, row.cost.rss), (2.0, 2.0, 7));
        assert_eq!((row.range, row.count()), ((1.0, 3.0), Some(12)));
        assert!(Row::of(Tool::Grep, Vec::new()).is_none());
    }
}
