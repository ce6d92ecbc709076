//! What is known about this machine, and what on it disturbs a measurement.

use std::fs;

/// The machine a measurement was made on. What the system does not tell is absent.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Host {
    /// Model name of the processor.
    pub cpu: String,
    /// Instruction set and operating system.
    pub platform: String,
    /// Processors that this program may use.
    pub cores: usize,
    /// Frequency governor of the first processor.
    pub governor: Option<String>,
    /// Programs that wanted to run during the last minute, on average.
    pub load_average: Option<f64>,
}

/// Load for each processor from which others must be at work: the average still holds our own training of a minute ago,
/// which keeps every processor busy and no more.
const OTHERS_AT_WORK: f64 = 1.5;

impl Host {
    /// This machine, now.
    pub fn here() -> Self {
        Host {
            cpu: cpu_model().unwrap_or_else(|| "unknown processor".into()),
            platform: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            load_average: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }

    /// What about this machine makes a measurement doubtful, as advice.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(governor) = self.governor.as_ref().filter(|g| *g != "performance") {
            warnings.push(format!(
                "the processor's frequency changes (governor `{governor}`)\nhint: sudo cpupower frequency-set -g performance"
            ));
        }
        if let Some(load) = self.load_average.filter(|load| *load > OTHERS_AT_WORK * self.cores as f64) {
            let cores = self.cores;
            warnings.push(format!(
                "{load:.1} programs compete for {cores} processors\nhint: close other programs and measure again"
            ));
        }
        warnings
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

/// Linux on x86 says `model name`; on ARM boards the device tree has the name of the board.
fn cpu_model() -> Option<String> {
    let info = read("/proc/cpuinfo").unwrap_or_default();
    let named = info.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == "model name");
    match named {
        Some((_, name)) => Some(name.trim().to_string()),
        None => read("/proc/device-tree/model").map(|name| name.trim_end_matches('\0').to_string()),
    }
}

/// Forgets the peak of this process's memory so far, where the system allows it.
pub(super) fn reset_peak_memory() {
    // Linux, proc(5): writing 5 resets the peak resident set size. A refusal leaves the peak of the whole process.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Memory of this process in bytes: (now, peak). Linux only.
pub fn memory_bytes() -> Option<(u64, u64)> {
    let status = read("/proc/self/status")?;
    let of = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some((of("VmRSS:")?, of("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_and_a_saving_governor_are_warned_of() {
        let quiet = Host {
            cpu: "a".into(),
            platform: "b".into(),
            cores: 2,
            governor: Some("performance".into()),
            load_average: Some(1.0),
        };
        assert_eq!(quiet.warnings(), Vec::<String>::new());
        let busy = Host { governor: Some("powersave".into()), load_average: Some(7.0), ..quiet };
        assert_eq!(busy.warnings().len(), 2);
        assert!(busy.warnings()[1].starts_with("7.0 programs compete for 2 processors"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_no_less_than_what_is_used_now() {
        let (now, peak) = memory_bytes().unwrap();
        assert!(now > 0 && peak >= now);
    }
}
