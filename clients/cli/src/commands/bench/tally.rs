//! `Tally`: what was measured, and how it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Table, presets};
use hdrhistogram::Histogram;
use quorate_client::Reason;
use serde::Serialize;

use crate::exit::Failure;
use crate::printer::Printer;

/// In microseconds: beyond an hour nobody waits.
const LATENCY_MAX: u64 = 3_600_000_000;

/// From here on it may be this program that is measured.
const BUSY: f64 = 0.9;

/// What kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Read,
    Write,
}

/// The calls, counted.
#[derive(Default)]
pub(super) struct Tally {
    kinds: BTreeMap<Kind, Calls>,
    errors: BTreeMap<&'static str, u64>,
}

struct Calls {
    /// Of those that succeeded, in microseconds.
    latencies: Histogram<u64>,
    errors: u64,
}

impl Default for Calls {
    fn default() -> Calls {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("these bounds are valid");
        Calls { latencies, errors: 0 }
    }
}

impl Tally {
    pub(super) fn count(&mut self, kind: Kind, latency: Duration, error: Option<Reason>) {
        let calls = self.kinds.entry(kind).or_default();
        match error {
            None => calls.latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX)),
            Some(reason) => {
                calls.errors += 1;
                *self.errors.entry(reason.as_str()).or_default() += 1;
            }
        }
    }

    /// Those that succeeded, and those that failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.kinds.values().fold((0, 0), |(good, bad), calls| (good + calls.latencies.len(), bad + calls.errors))
    }
}

/// A whole measurement.
pub(super) struct Measured {
    pub(super) tally: Tally,
    pub(super) elapsed: Duration,
    /// How much of one processor this program has used.
    pub(super) busy: f64,
    pub(super) connections: u16,
    pub(super) callers: u16,
    pub(super) value_bytes: u32,
    pub(super) znodes: u32,
}

#[derive(Serialize)]
struct MeasuredDocument<'a> {
    seconds: f64,
    connections: u16,
    callers_per_connection: u16,
    value_bytes: u32,
    znodes: u32,
    client_cpu: f64,
    results: Vec<CallsDocument>,
    errors: &'a BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct CallsDocument {
    what: &'static str,
    calls: u64,
    errors: u64,
    per_second: f64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
    max_us: u64,
}

impl Measured {
    pub(super) fn print(&self, printer: &mut Printer) -> Result<(), Failure> {
        let results = self.results();
        if printer.is_json() {
            return printer.json(&MeasuredDocument {
                seconds: self.elapsed.as_secs_f64(),
                connections: self.connections,
                callers_per_connection: self.callers,
                value_bytes: self.value_bytes,
                znodes: self.znodes,
                client_cpu: self.busy,
                results,
                errors: &self.tally.errors,
            });
        }
        // A table pads its last column, too, which nobody sees and every diff shows.
        table(&results).lines().try_for_each(|line| printer.line(line.trim_end()))?;
        printer.line("")?;
        let Measured { connections, callers, value_bytes, znodes, .. } = self;
        let seconds = self.elapsed.as_secs_f64();
        let what =
            format!("{connections} connections, {callers} callers on each, {znodes} znodes of {value_bytes} bytes");
        printer.line(&format!("{what}, {seconds:.1} s"))?;
        for (reason, count) in &self.tally.errors {
            printer.line(&format!("{count} x {reason}"))?;
        }
        let percent = self.busy * 100.0;
        if self.busy >= BUSY {
            let limit = "it may be what limits, and not the ensemble";
            return printer.line(&format!("this program used {percent:.0} % of one processor: {limit}"));
        }
        printer.line(&format!("this program used {percent:.0} % of one processor"))
    }

    /// Whether that is a success.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        match self.tally.counts() {
            (_, 0) => Ok(()),
            (good, bad) => Err(Failure::Other(format!("{bad} of {} calls have failed", good + bad))),
        }
    }

    fn results(&self) -> Vec<CallsDocument> {
        let result = |(kind, calls): (&Kind, &Calls)| {
            let at = |quantile| calls.latencies.value_at_quantile(quantile);
            CallsDocument {
                what: match kind {
                    Kind::Read => "read",
                    Kind::Write => "write",
                },
                calls: calls.latencies.len(),
                errors: calls.errors,
                per_second: calls.latencies.len() as f64 / self.elapsed.as_secs_f64(),
                p50_us: at(0.5),
                p90_us: at(0.9),
                p99_us: at(0.99),
                p999_us: at(0.999),
                max_us: calls.latencies.max(),
            }
        };
        self.tally.kinds.iter().map(result).collect()
    }
}

fn table(results: &[CallsDocument]) -> Table {
    let mut table = Table::new();
    let header = ["what", "calls", "errors", "per second", "p50", "p90", "p99", "p99.9", "max"];
    table.load_preset(presets::NOTHING).set_header(header);
    for result in results {
        let CallsDocument { what, calls, errors, per_second, p50_us, p90_us, p99_us, p999_us, max_us } = result;
        let latencies = [p50_us, p90_us, p99_us, p999_us, max_us].map(|latency| milliseconds(*latency));
        let counts = [(*what).to_owned(), calls.to_string(), errors.to_string(), format!("{per_second:.0}")];
        table.add_row(counts.into_iter().chain(latencies));
    }
    table
}

/// With three digits or more.
fn milliseconds(micros: u64) -> String {
    let milliseconds = micros as f64 / 1000.0;
    match micros {
        0..10_000 => format!("{milliseconds:.2} ms"),
        10_000..100_000 => format!("{milliseconds:.1} ms"),
        _ => format!("{milliseconds:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_kind_and_errors_apart() {
        let mut tally = Tally::default();
        for milliseconds in 1..=100 {
            tally.count(Kind::Read, Duration::from_millis(milliseconds), None);
        }
        tally.count(Kind::Write, Duration::from_micros(1234), None);
        // A refusal that comes quickly is no quick answer.
        tally.count(Kind::Write, Duration::from_micros(1), Some(Reason::Throttled));
        let elapsed = Duration::from_secs(2);
        let measured = Measured { tally, elapsed, busy: 0.5, connections: 1, callers: 1, value_bytes: 1, znodes: 1 };
        let results = measured.results();
        assert_eq!((results[0].what, results[0].calls, results[0].errors), ("read", 100, 0));
        assert!((results[0].per_second - 50.0).abs() < 1e-9);
        assert!((49_900..=50_100).contains(&results[0].p50_us) && (98_900..=99_200).contains(&results[0].p99_us));
        assert_eq!((results[1].what, results[1].calls, results[1].errors, results[1].max_us), ("write", 1, 1, 1234));
        let shown = table(&results).to_string();
        assert!(shown.contains("50.0 ms") && shown.contains("1.23 ms") && shown.contains("100 ms"), "{shown}");
        assert_eq!(measured.verdict().expect_err("one has failed").to_string(), "1 of 102 calls have failed");
        assert_eq!(measured.tally.errors.get("THROTTLED"), Some(&1));
    }
}
