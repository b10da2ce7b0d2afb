//! What the tests counted and measured: printed, and appended to the file that `QUORATE_TEST_REPORT` names, which
//! `tests/run` shows at its end.

use std::fs::OpenOptions;
use std::io::Write;

/// Notes one line.
///
/// # Panics
/// If the report cannot be written: a run whose numbers are lost is no run.
pub fn note(line: &str) {
    println!("{line}");
    if let Some(path) = std::env::var_os("QUORATE_TEST_REPORT") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("the report can be opened");
        // One write, so that lines of tests that run at the same time do not mix.
        file.write_all(format!("{line}\n").as_bytes()).expect("the report can be written");
    }
}

/// How much longer than usual random tests run, from `QUORATE_TEST_SCALE`; 1 unless set.
///
/// # Panics
/// If the variable is set and is no number from 1.
#[must_use]
pub fn scale() -> usize {
    match std::env::var("QUORATE_TEST_SCALE") {
        Err(_) => 1,
        Ok(text) => text.parse().ok().filter(|n| *n > 0).expect("QUORATE_TEST_SCALE is a number from 1"),
    }
}
