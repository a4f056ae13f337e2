//! What Linux tells of processes: CPU time, memory, limits.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// CPU time of all threads of a process, in nanoseconds, user and kernel. The clock ticks of /proc/PID/stat are too coarse
/// for rounds of one second.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} has gone"))? {
        let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
        let on_cpu = schedstat.split_whitespace().next().context("an empty schedstat: the kernel lacks CONFIG_SCHED_INFO")?;
        nanoseconds += on_cpu.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Memory that belongs to the process alone and was written to, in bytes.
pub fn private_dirty(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).with_context(|| format!("process {pid} has gone"))?;
    let line = rollup.lines().find(|line| line.starts_with("Private_Dirty:")).context("smaps_rollup lacks Private_Dirty")?;
    let kib = line.split_whitespace().nth(1).context("smaps_rollup has no figure for Private_Dirty")?;
    Ok(kib.parse::<u64>()? * 1024)
}

/// Raises the soft limit of open files to the hard one. Fails with a sentence where that is below `needed`; children inherit it.
pub fn allow_open_files(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if let Some(hard) = limit.maximum.filter(|hard| *hard < needed) {
        bail!(
            "this benchmark needs {needed} open files in one process, and the hard limit here is {hard}: raise it \
             (`ulimit -Hn {needed}` as root, or LimitNOFILE=) or ask for fewer sessions"
        );
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("cannot raise the soft limit of open files to the hard one")
}
