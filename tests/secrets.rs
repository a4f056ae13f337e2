//! No secret is told to anybody: not in the log at its finest level, not in status, metrics, events or the effective configuration, not
//! in a fault, not in a panic. Nor a large part of one, nor one in another coat.

mod harness;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use harness::*;
use ring::digest::{SHA256, digest};
use rustix::process::Signal;

const GROUP: &str = "Kz7-of-the-group-Qw1xVb";
const STRANGE: &str = "Jt4-of-the-stranger-Mn8pLc";
const SENTINEL: &str = "Hy2-of-the-sentinel-Rd5sGe";
const IDENTITY: &str = "Fb9-of-the-identity-Tz3kWa";
const APP: &str = "Dp6-of-the-application-Xc7jYu";
const FILED: &str = "Sv1-of-the-file-Bq4mHn";
const TOKEN: &str = "Ga8-of-the-operator-Ue2rPd";
const WRONG: &str = "Lw3-of-nobody-at-all-Ki9tEz";
const SHOWN: &str = "Nm5-in-the-wrong-place-Oy6hSf";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(password: &str) -> String {
    hex(digest(&SHA256, password.as_bytes()).as_ref())
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Whole groups only: what follows them depends on what follows the secret.
    let groups = bytes.chunks_exact(3).map(|group| u32::from_be_bytes([0, group[0], group[1], group[2]]));
    groups.flat_map(|group| [18, 12, 6, 0].map(|shift| LETTERS[(group >> shift) as usize & 63] as char)).collect()
}

/// Every part of a secret that would help to guess it, in every coat.
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn new(keys: &[&str]) -> Self {
        let mut all = Vec::new();
        for secret in [GROUP, STRANGE, SENTINEL, IDENTITY, APP, FILED, TOKEN, WRONG, SHOWN] {
            let mut add = |part: String| all.push((secret.to_owned(), part));
            (0..=secret.len() - 12).for_each(|at| add(secret[at..at + 12].to_owned()));
            (0..3).for_each(|at| add(base64(&secret.as_bytes()[at..])));
            let (plain, hash) = (hex(secret.as_bytes()), hash(secret));
            for part in [&plain[..24], &hash[..24], &hash[40..], &base64(digest(&SHA256, secret.as_bytes()).as_ref())[..20]] {
                add(part.to_owned());
                add(part.to_uppercase());
            }
        }
        for file in keys {
            let text = std::fs::read_to_string(file).expect("readable");
            all.extend(text.lines().filter(|line| !line.starts_with('-')).map(|line| ((*file).to_owned(), line.to_owned())));
        }
        Self(all)
    }

    #[track_caller]
    fn are_not_in(&self, what: &str, text: &str) {
        assert!(!text.is_empty(), "{what} is empty, so nothing was looked at");
        for (secret, part) in &self.0 {
            if let Some(at) = text.find(part.as_str()) {
                let around: String = text[..at].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
                panic!("{secret} is in {what}, as {part}, after: {around}");
            }
        }
    }
}

/// A server that is none: what it answers to whatever comes.
fn stranger(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&answer(&bytes[..length])).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn in_one_line(said: &[u8]) -> String {
    String::from_utf8_lossy(said).replace(['\r', '\n'], " ")
}

/// The ways in which a server repeats what it was told.
type Answer = fn(&[u8]) -> Vec<u8>;
const STRANGERS: [Answer; 5] = [
    <[u8]>::to_vec,
    |said| format!("-ERR unknown command, with args beginning with: {}\r\n", in_one_line(said)).into_bytes(),
    |said| format!("-WRONGPASS {}\r\n", in_one_line(said)).into_bytes(),
    |said| format!("-NOAUTH it was not {}\r\n", in_one_line(said)).into_bytes(),
    |said| format!("+{}\r\n", in_one_line(said)).into_bytes(),
];

/// Everything that anybody can read, at the end of all of it.
struct Told {
    secrets: Secrets,
    mainstay: Mainstay,
}

impl Told {
    #[track_caller]
    fn look(&self) {
        for path in ["/metrics", "/api/v1/status", "/", "/readyz?primary", "/nowhere"] {
            let (_, text) = self.mainstay.get(path).expect("it answers");
            self.secrets.are_not_in(path, &text);
        }
        self.secrets.are_not_in("the log", &self.mainstay.log.text());
    }
}

#[test]
fn no_secret_is_told_whatever_happens() {
    let authority = Authority::new("ours");
    let (admin_pair, web_pair) = (authority.issue("admin", &["127.0.0.1"]), authority.issue("web", &["127.0.0.1"]));
    let acl = format!("user app on >{IDENTITY} ~* &* +@all");
    let password = format!("requirepass {GROUP}");
    let server = Redis::start(&[&acl, &password]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("writable");
        folder.path().join(name).display().to_string()
    };
    let token = file("token", TOKEN);
    let users = file("users", &format!("filed:{}\n", hash(FILED)));
    let auth = format!("username = \"app\"\npassword_file = \"{}\"", file("identity", IDENTITY));
    let ports: Vec<String> = (0..4).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let mut more = String::new();
    for (index, (mode, port)) in
        ["mode = \"redis\"", "mode = \"redis\"\nshared_connections = true"].iter().zip(&ports).enumerate()
    {
        let users = [format!("users = [\"app:{}\"]", hash(APP)), format!("users_file = \"{users}\"")];
        more += &format!(
            "[[listener]]\nname = \"guarded{index}\"\nbind = \"{port}\"\ngroup = \"jobs\"\n{mode}\n[listener.auth]\n{}\n{auth}\n",
            users[index]
        );
    }
    more += &format!("[[listener]]\nname = \"plain\"\nbind = \"{}\"\ngroup = \"jobs\"\nmode = \"redis\"\n", ports[2]);
    more += &format!(
        "[[listener]]\nname = \"tls\"\nbind = \"{}\"\ngroup = \"jobs\"\n[listener.tls]\n{}\n",
        ports[3],
        web_pair.toml()
    );
    for (index, answer) in STRANGERS.into_iter().enumerate() {
        let (backend, sentinel) = (stranger(answer), stranger(answer));
        more += &format!(
            "[[group]]\nname = \"strange{index}\"\nbackends = [\"{backend}\"]\nusername = \"mainstay\"\npassword_env = \"STRANGE\"\n\
             [group.sentinel]\nmaster_name = \"m\"\naddresses = [\"{sentinel}\"]\npassword_env = \"SENTINEL\"\n"
        );
    }
    // A group whose password is wrong.
    more += &format!("[[group]]\nname = \"refused\"\nbackends = [\"{}\"]\npassword_env = \"WRONG\"\n", server.address());
    let lines = format!("token_file = \"{token}\"\n[admin.tls]\n{}", admin_pair.toml());
    let way_in = WayIn { ca_file: Some(authority.file()), token: Some(TOKEN.into()) };
    let mut setup = Setup::of([&server]).log("level = \"trace\"").admin(&lines, way_in.clone()).more(more);
    setup = setup.group("password_env = \"GROUP\"").hold("window = \"1s\"").expecting(&[&[""]]);
    for (name, value) in [("GROUP", GROUP), ("STRANGE", STRANGE), ("SENTINEL", SENTINEL), ("WRONG", WRONG)] {
        setup = setup.environment(name, value);
    }
    let mut mainstay = setup.start_on(&server);
    let keys = [admin_pair.key.clone(), web_pair.key.clone()];
    let secrets = Secrets::new(&[&keys[0], &keys[1]]);
    let events = {
        let (way_in, admin) = (way_in.clone(), mainstay.admin.clone());
        std::thread::spawn(move || follow(&way_in, &admin))
    };

    // Right and wrong passwords, in the right and in the wrong place, on every listener.
    for port in [&mainstay.listen, &ports[0], &ports[1], &ports[2]] {
        for words in [
            &["AUTH", GROUP][..],
            &["AUTH", "app", APP],
            &["AUTH", "filed", FILED],
            &["AUTH", "app", IDENTITY],
            &["AUTH", "app", WRONG],
            &["AUTH", WRONG, "app"],
            &["AUTH", WRONG],
            &["AUTH", WRONG, WRONG, WRONG],
            &["HELLO", "2", "AUTH", "app", WRONG],
            &["HELLO", "3", "AUTH", WRONG],
            &[WRONG],
            &["CONFIG", "SET", "requirepass", GROUP],
            &["SET", "k", "v"],
        ] {
            let mut client = Client::connect(port);
            let _ = client.ask(words);
            let _ = client.ask(&["PING"]);
        }
        let _ = Client::connect(port).send(format!("AUTH {WRONG}\r\n").as_bytes());
    }
    // Plain text to a port that speaks TLS, and TLS to all of them.
    for port in ports.iter().chain([&mainstay.listen, &mainstay.admin]) {
        let mut plain = TcpStream::connect(port).expect("it listens");
        let _ = plain.write_all(format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{WRONG}\r\n", WRONG.len()).as_bytes());
        // A port without TLS may wait for the rest of what it takes for a request.
        let tcp = TcpStream::connect(port).expect("it listens");
        tcp.set_read_timeout(Some(ms(500))).expect("a timeout");
        if let Some(mut stream) = secure::connect(tcp, &authority.file(), None) {
            let _ = stream.write_all(format!("AUTH {WRONG}\r\n").as_bytes());
        }
    }
    // The admin side: wrong tokens, and tokens in wrong places.
    let admin = mainstay.admin.clone();
    let ask =
        |token: &str, path: &str| http::ask_by(&WayIn { token: Some(token.into()), ..way_in.clone() }, &admin, "GET", path, "");
    for (token, path) in [(WRONG, "/api/v1/status"), (TOKEN, &*format!("/api/v1/status?token={TOKEN}")), (WRONG, "/healthz")] {
        let (_, text) = ask(token, path).expect("an answer");
        secrets.are_not_in(path, &text);
    }
    let url = format!("https://{}", mainstay.admin);
    let (ca, wrong) = (authority.file(), file("wrong", WRONG));
    for token in [&token, &wrong] {
        let words = ["status", "--admin", &url, "--ca-file", &ca, "--token-file", token];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_mainstay")).args(words).output().expect("it runs");
        assert_eq!(output.status.success(), token != &wrong);
        secrets
            .are_not_in("the command line", &(String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr)));
    }
    let config = folder.path().join("mainstay.toml");
    let told = Told { secrets, mainstay };
    // The effective configuration, and one with the secrets in the wrong places.
    let right = told.mainstay.setup.toml(&told.mainstay.admin, &told.mainstay.listen);
    for (text, code) in [(right.clone(), 0), (misplaced(&right), 78)] {
        std::fs::write(&config, &text).expect("writable");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.args(["check", "--print", "--config"]).arg(&config);
        command.envs([("GROUP", GROUP), ("STRANGE", STRANGE), ("SENTINEL", SENTINEL), ("WRONG", WRONG)]);
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        told.secrets.are_not_in("check --print", &said);
    }
    told.mainstay.write(&misplaced(&right));
    let (code, faults) = http::ask_by(&way_in, &told.mainstay.admin, "POST", "/api/v1/reload", "").expect("it answers");
    assert_eq!(code, 422);
    told.secrets.are_not_in("the faults", &faults);
    // Files that are replaced by nonsense, and by each other.
    file("users", &format!("filed:{FILED}\n{WRONG}\n"));
    std::fs::copy(&admin_pair.key, &web_pair.key).expect("writable");
    wait_until(PATIENCE, "the files are refused", || told.mainstay.log.has("files were replaced and cannot be used yet"));
    told.mainstay.write(&right);
    told.mainstay.signal(Signal::HUP);
    // The server asks for another password from now on.
    server.command(&["CONFIG", "SET", "requirepass", SHOWN]);
    wait_until(PATIENCE, "every stranger was asked", || {
        (0..STRANGERS.len())
            .all(|index| told.mainstay.metric("mainstay_checks_total", &[&format!("group=\"strange{index}\"")]) > 2.0)
    });
    told.look();
    told.secrets.are_not_in("the events", &events.join().expect("no panic"));
    mainstay = told.mainstay;
    mainstay.signal(Signal::TERM);
    mainstay.process.wait(PATIENCE);
    told.secrets.are_not_in("the log to its end", &mainstay.log.text());
}

/// Server-sent events for a while.
fn follow(way_in: &WayIn, admin: &str) -> String {
    let stream = TcpStream::connect(admin).expect("it listens");
    stream.set_read_timeout(Some(ms(500))).expect("a timeout");
    let mut stream = secure::connect(stream, way_in.ca_file.as_deref().expect("TLS"), None).expect("TLS");
    let token = way_in.token.as_deref().unwrap_or_default();
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("open");
    let (begun, mut all) = (std::time::Instant::now(), Vec::new());
    while begun.elapsed() < ms(3000) {
        let mut bytes = [0; 4096];
        if let Ok(length) = stream.read(&mut bytes) {
            all.extend_from_slice(&bytes[..length]);
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Secrets where they do not belong.
fn misplaced(right: &str) -> String {
    let url = format!("backends = [\"redis://user:{SHOWN}@redis1:6379\", \"{SHOWN}\"]\npassword = \"{SHOWN}\"\n");
    let mut text =
        right.replacen("password_env = \"GROUP\"", &format!("password_env = \"{SHOWN}\"\npassword_file = \"/{SHOWN}\""), 1);
    text = text.replacen("token_file = ", &format!("token = \"{SHOWN}\"\ntoken_file = "), 1);
    text = text.replacen("users = [\"app:", &format!("users = [\"app:{SHOWN}\", \"{SHOWN}\", \"app:"), 1);
    text + &format!(
        "[[group]]\nname = \"more\"\n{url}[[listener]]\nname = \"more\"\nbind = \"{SHOWN}\"\ngroup = \"jobs\"\nmode = 1 {SHOWN}\n"
    )
}

/// What a panic would print of the values that the process holds: the report is made by the same `Display` that mainstay logs.
#[test]
fn a_panic_report_shows_no_secret() {
    let authority = Authority::new("ours");
    let pair = authority.issue("web", &["127.0.0.1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).expect("writable");
    let text = format!(
        "[admin]\ntoken_file = \"{}\"\n[admin.tls]\n{}[[group]]\nname = \"jobs\"\nbackends = [\"a:1\"]\npassword_env = \"GROUP\"\n\
         [group.sentinel]\nmaster_name = \"m\"\naddresses = [\"s:1\"]\npassword_env = \"SENTINEL\"\n[[listener]]\nname = \"web\"\n\
         bind = \"127.0.0.1:1\"\ngroup = \"jobs\"\nmode = \"redis\"\n[listener.auth]\nusers = [\"app:{}\"]\npassword_env = \"IDENTITY\"\n",
        token.display(),
        pair.toml(),
        hash(APP)
    );
    let environment = |name: &str| {
        let known = [("GROUP", GROUP), ("SENTINEL", SENTINEL), ("IDENTITY", IDENTITY)];
        known.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    };
    let config = ::mainstay::config::parse_with(&text, "panic.toml", &environment).unwrap_or_else(|faults| panic!("{faults}"));
    let access = ::mainstay::admin::Access::new(&config.admin).expect("its files are fine");
    let report = Arc::new(Mutex::new(String::new()));
    let written = report.clone();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| *written.lock().expect("whole") = panic.to_string()));
    let fail = || panic!("a panic with all that it knows: {:?}", (&config, &access));
    let shown: Result<(), _> = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fail));
    std::panic::set_hook(hook);
    assert!(shown.is_err());
    let report = report.lock().expect("whole").clone();
    assert!(report.contains("redis") || report.contains("jobs"), "{report}");
    Secrets::new(&[&pair.key]).are_not_in("the report", &report);
}
