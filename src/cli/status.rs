//! `mainstay status`: what a running mainstay knows.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;
use mainstay::route::Status;
use serde_json::Value;

use super::api::{Api, block_on};
use super::{AdminOptions, Failure, print, table};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub admin: AdminOptions,
    /// The answer of GET /api/v1/status as it is
    #[arg(long)]
    pub json: bool,
    /// Show it again every second, until interrupted
    #[arg(long)]
    pub watch: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let api = Api::new(&arguments.admin)?;
    // One that cannot be reached at all is told and not watched: the address is wrong, most likely.
    let text = block_on(show(&api, arguments.json))?;
    if arguments.watch { Ok(block_on(watch(&api, arguments.json, text))?) } else { print(&text) }
}

/// One look.
async fn show(api: &Api, as_json: bool) -> anyhow::Result<String> {
    let text = api.get("/api/v1/status").await?;
    if as_json {
        return Ok(text);
    }
    let other = "mainstay's answer is not what this version expects; use the mainstay that is running, or --json";
    let mut json: Value = serde_json::from_str(&text).context(other)?;
    disarm(&mut json);
    let status: Status = serde_json::from_value(json).context(other)?;
    Ok(table::render(&status, SystemTime::now()))
}

/// Shows it anew every second: in place on a terminal, else one after the other. A mainstay that goes away meanwhile is waited for.
async fn watch(api: &Api, as_json: bool, first: String) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    let terminal = stdout.is_terminal();
    if terminal {
        stdout.write_all(b"\x1b[2J")?;
    }
    let mut text = first;
    loop {
        let page = if terminal {
            // From the top left corner, clearing the rest of each line and what is below: nothing flickers.
            format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
        } else {
            format!("{text}\n")
        };
        match stdout.write_all(page.as_bytes()).and_then(|()| stdout.flush()) {
            Err(fault) if fault.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write to stdout")?,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        text = show(api, as_json).await.unwrap_or_else(|fault| format!("{fault:#}\n"));
    }
}

/// Takes control characters out of every string. What a backend says must not move the cursor of who reads it.
fn disarm(json: &mut Value) {
    match json {
        Value::String(text) if text.contains(char::is_control) => *text = text.replace(char::is_control, "\u{fffd}"),
        Value::Array(values) => values.iter_mut().for_each(disarm),
        Value::Object(fields) => fields.values_mut().for_each(disarm),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_backend_says_cannot_steer_the_terminal() {
        let mut value = json!({ "groups": [{ "why": "a\u{1b}[2Jb\nc", "epoch": 1 }] });
        disarm(&mut value);
        assert_eq!(value, json!({ "groups": [{ "why": "a\u{fffd}[2Jb\u{fffd}c", "epoch": 1 }] }));
    }
}
