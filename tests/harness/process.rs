//! `ProcessStats`: what a process uses, as the kernel counts it.

use std::fmt;
use std::fs;

/// What one process uses now.
#[derive(Clone, Copy, Debug)]
pub struct ProcessStats {
    /// Resident memory.
    pub resident_bytes: u64,
    /// CPU time of all its threads since its start, in user and kernel mode.
    pub cpu_micros: u64,
    /// Open file descriptors.
    pub descriptors: usize,
}

impl ProcessStats {
    /// Of the process with this id.
    ///
    /// # Panics
    /// If there is none, or the system has no `/proc`.
    #[must_use]
    pub fn of(pid: u32) -> ProcessStats {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        let kib: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
        // The name, in parentheses, may itself hold spaces: what counts comes after it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).expect("a number of ticks");
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is ours").count();
        // `USER_HZ` has been 100 on every architecture for decades.
        ProcessStats { resident_bytes: kib * 1024, cpu_micros: (ticks(11) + ticks(12)) * 10_000, descriptors }
    }
}

impl fmt::Display for ProcessStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.resident_bytes as f64 / (1024.0 * 1024.0);
        write!(f, "{mib:.1} MiB resident, {} ms CPU, {} descriptors", self.cpu_micros / 1000, self.descriptors)
    }
}
