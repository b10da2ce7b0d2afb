//! `Table`: what was measured, next to what was aimed at.

use hdrhistogram::Histogram;

/// One figure.
struct Row {
    what: String,
    target: String,
    measured: String,
    note: String,
}

/// All figures of a run, printed as they come and as one table in the end.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Notes a figure that should be at most `target`.
    pub(crate) fn at_most(&mut self, what: &str, target: f64, measured: f64, unit: &str, note: &str) {
        let verdict = if measured <= target { "" } else { " (missed)" };
        self.push(what, &format!("<= {target} {unit}"), &format!("{measured:.2} {unit}{verdict}"), note);
    }

    /// Notes a figure that should be at least `target`.
    pub(crate) fn at_least(&mut self, what: &str, target: f64, measured: f64, unit: &str, note: &str) {
        let verdict = if measured >= target { "" } else { " (missed)" };
        self.push(what, &format!(">= {target} {unit}"), &format!("{} {unit}{verdict}", brief(measured)), note);
    }

    /// Notes a figure without a target.
    pub(crate) fn plain(&mut self, what: &str, measured: &str, note: &str) {
        self.push(what, "", measured, note);
    }

    fn push(&mut self, what: &str, target: &str, measured: &str, note: &str) {
        println!("{what}: {measured} {target} {note}");
        self.rows.push(Row { what: what.into(), target: target.into(), measured: measured.into(), note: note.into() });
    }

    /// As a table for the README.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("| what | target | measured | besides |\n| --- | --- | --- | --- |\n");
        for Row { what, target, measured, note } in &self.rows {
            text.push_str(&format!("| {what} | {target} | {measured} | {note} |\n"));
        }
        text
    }
}

/// As many digits as a reader cares for.
fn brief(number: f64) -> String {
    let decimals = if number < 100.0 { 2 } else { 0 };
    format!("{number:.decimals$}")
}

/// Throughput and latency in words.
pub(crate) fn describe(operations: u64, seconds: f64, latencies: &Histogram<u64>) -> String {
    let rate = operations as f64 / seconds / 1000.0;
    let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    format!("{rate:.1} k/s, p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99))
}

/// A histogram of microseconds up to a minute.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).unwrap()
}
