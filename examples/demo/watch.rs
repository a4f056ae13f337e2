//! Threads that watch from outside: what each Redis says of itself, what mainstay reports, what the Sentinels announce.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mainstay::route::{Event, GroupStatus, Status};

use crate::resp::Connection;
use crate::stage::Stage;
use crate::timeline::Timeline;

const ROLE_EVERY: Duration = Duration::from_millis(2);
const STATUS_EVERY: Duration = Duration::from_millis(25);

/// Asks the server at `port` for its role, over and over, and notes every change.
pub fn role(name: &str, port: u16, stage: &Arc<Stage>, timeline: &Arc<Timeline>) {
    let (name, stage, timeline) = (name.to_owned(), Arc::clone(stage), Arc::clone(timeline));
    thread::spawn(move || {
        let (mut connection, mut before) = (None, String::new());
        while !stage.is_closing() {
            let answer = ask_role(&mut connection, port);
            let now = match &answer {
                Ok(role) => role.clone(),
                // Told apart from a connection that only was cut, as Sentinel cuts them all when it promotes.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => "is gone: connection refused".to_owned(),
                Err(_) => before.clone(),
            };
            if now != before {
                timeline.note(&name, &now);
                before = now;
            }
            thread::sleep(ROLE_EVERY);
        }
    });
}

fn ask_role(connection: &mut Option<Connection>, port: u16) -> io::Result<String> {
    let open = match connection.take() {
        Some(open) => Ok(open),
        None => Connection::open(port, Duration::from_secs(2)),
    };
    let mut open = open?;
    let texts = open.ask(&["ROLE"])?.texts();
    *connection = Some(open);
    Ok(match texts.first().map(String::as_str) {
        Some("master") => "says role:master".to_owned(),
        Some("slave") => format!("says it is a replica of {}:{}", texts[1], texts[2]),
        _ => format!("answers {}", texts.join(" ")),
    })
}

/// Notes mainstay's events as they arrive (`GET /api/v1/events`), and from its status how many clients it holds.
pub fn mainstay(admin_port: u16, stage: &Arc<Stage>, timeline: &Arc<Timeline>) {
    let (events_stage, events_timeline) = (Arc::clone(stage), Arc::clone(timeline));
    thread::spawn(move || {
        while !events_stage.is_closing() {
            let _ = events(admin_port, &events_timeline);
            thread::sleep(STATUS_EVERY);
        }
    });

    let (stage, timeline) = (Arc::clone(stage), Arc::clone(timeline));
    thread::spawn(move || {
        let mut held_before = 0;
        while !stage.is_closing() {
            if let Some(group) = group_status(admin_port)
                && group.held != held_before
            {
                held_before = group.held;
                let what = match held_before {
                    0 => "holds no client any more".to_owned(),
                    1 => "holds 1 client until there is a primary".to_owned(),
                    count => format!("holds {count} clients until there is a primary"),
                };
                timeline.note("mainstay", &what);
            }
            thread::sleep(STATUS_EVERY);
        }
    });
}

fn events(admin_port: u16, timeline: &Timeline) -> io::Result<()> {
    for line in BufReader::new(get(admin_port, "/api/v1/events")?).lines() {
        let line = line?;
        let Some(data) = line.strip_prefix("data:") else { continue };
        if let Ok(event) = serde_json::from_str::<Event>(data.trim()) {
            timeline.note("mainstay", &format!("{} (epoch {}): {}", event.kind, event.epoch, event.message));
        }
    }
    Ok(())
}

/// The group's entry in `GET /api/v1/status`.
pub fn group_status(admin_port: u16) -> Option<GroupStatus> {
    let mut answer = String::new();
    get(admin_port, "/api/v1/status").ok()?.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str::<Status>(body).ok()?.groups.into_iter().next()
}

/// Asks in HTTP/1.0, which has no chunks to put together: the answer ends with the connection.
fn get(admin_port: u16, path: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", admin_port))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{admin_port}\r\n\r\n").as_bytes())?;
    Ok(stream)
}

/// Notes what the Sentinels announce about the group. All of them tell most of the story; each line of it is noted once.
pub fn sentinels(ports: &[u16], stage: &Arc<Stage>, timeline: &Arc<Timeline>) {
    let told = Arc::new(Mutex::new(HashSet::new()));
    for (number, port) in (1..).zip(ports.iter().copied()) {
        let (stage, timeline, told) = (Arc::clone(stage), Arc::clone(timeline), Arc::clone(&told));
        thread::spawn(move || {
            while !stage.is_closing() {
                let _ = announcements(number, port, &timeline, &told);
                thread::sleep(STATUS_EVERY);
            }
        });
    }
}

fn announcements(number: usize, port: u16, timeline: &Timeline, told: &Mutex<HashSet<String>>) -> io::Result<()> {
    let mut connection = Connection::open(port, Duration::from_secs(60))?;
    connection.ask(&["PSUBSCRIBE", "*"])?;
    loop {
        let message = connection.read()?.texts();
        let [_, _, kind, text] = message.as_slice() else { continue };
        let words: Vec<&str> = text.split(' ').collect();
        let what = match (kind.as_str(), words.as_slice()) {
            ("+sdown", ["master", _, ip, port, ..]) => format!("has not heard from {ip}:{port} for one second"),
            ("+odown", ["master", _, ip, port, ..]) => format!("a majority agrees that {ip}:{port} is down"),
            ("+elected-leader", _) => "is chosen by the others to lead the failover".to_owned(),
            ("+selected-slave", ["slave", address, ..]) => format!("picks {address} as the next primary"),
            ("+promoted-slave", ["slave", address, ..]) => format!("sees that {address} is promoted"),
            ("+switch-master", [_, _, _, ip, port]) => format!("announces {ip}:{port} as the primary"),
            _ => continue,
        };
        let first = kind == "+sdown" || told.lock().expect("nothing panics under this lock").insert(kind.clone());
        if first {
            timeline.note(&format!("sentinel {number}"), &what);
        }
    }
}
