//! Markdown tables, headed by what they were measured on, printed and kept under target/bench.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// A report that grows by paragraphs and tables.
pub struct Report {
    name: &'static str,
    text: String,
}

impl Report {
    /// Opens with the title and the machine.
    pub fn new(name: &'static str, title: &str) -> Self {
        let text = format!("## {title}\n\n{}\n", machine());
        Self { name, text }
    }

    /// A paragraph.
    pub fn say(&mut self, sentence: &str) {
        let _ = writeln!(self.text, "\n{sentence}");
    }

    /// A table.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let _ = writeln!(self.text, "\n| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for row in rows {
            let _ = writeln!(self.text, "| {} |", row.join(" | "));
        }
    }

    /// Prints the whole and writes it to target/bench/NAME.md.
    pub fn finish(self) -> Result<()> {
        print!("\n{}", self.text);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        let file = folder.join(self.name).with_extension("md");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&file, &self.text).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("\nalso written to {}", file.display());
        Ok(())
    }
}

/// One line: date, processor, kernel, versions.
fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default();
    format!(
        "{date}, {cores} cores ({model}), {memory:.0} GiB, Linux {kernel}; mainstay {mainstay}, {haproxy}, {redis}; everything on \
         loopback, the load generator on the same cores.",
        date = first_line("date", &["-u", "+%Y-%m-%d"]),
        model = model.trim_start_matches([' ', '\t', ':']),
        memory = memory / 1048576.0,
        kernel = kernel.trim(),
        mainstay = env!("CARGO_PKG_VERSION"),
        haproxy = words(&first_line("haproxy", &["-v"]), 0, 3).replace(" version", ""),
        redis = words(&first_line("redis-server", &["--version"]), 0, 3).replace(" server v=", " "),
    )
}

fn words(line: &str, from: usize, count: usize) -> String {
    line.split_whitespace().skip(from).take(count).collect::<Vec<_>>().join(" ")
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
}
