//! A client library reads, and does not notice what becomes of the servers.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

#[test]
fn redis_py_reads_through_a_failover_and_the_loss_of_replicas_without_an_error() {
    let knows = |python: &&str| Command::new(python).args(["-c", "import redis"]).status().is_ok_and(|status| status.success());
    let python = ["/usr/bin/python3", "python3"].into_iter().find(knows).expect("apt-get install python3-redis");
    for mode in [REDIS, SHARED] {
        let family = Redis::family(3);
        family[0].command(&["SET", "whose", "ours"]);
        family.iter().skip(1).for_each(|replica| replica.wait_in_step(&family[0]));
        let mut mainstay = readers(&family, mode, "");
        mainstay.expect(&[SILENT, SHARED_LOST].concat());
        let (host, port) = mainstay.listen.rsplit_once(':').expect("host:port");
        let mut command = Process::command(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/redis_py_reads.py")).args([host, port, "until"]);
        let mut reader =
            std::process::Command::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped())).expect("python runs");
        let mut said = BufReader::new(reader.stdout.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says something");
        assert_eq!(line, "reading\n", "{mode}");
        family[3].process.stop();
        wait_unusable(&mainstay, &family[3]);
        family[3].process.cont();
        wait_usable(&mainstay, &family[3]);
        family[0].failover_to(&family[1]);
        mainstay.wait_for_primary(&family[1].address());
        for replica in [0, 2, 3] {
            family[replica].follow(&family[1]);
            wait_usable(&mainstay, &family[replica]);
        }
        family[1].command(&["SET", "until", "1"]);
        let (mut rest, mut errors) = (String::new(), String::new());
        said.read_to_string(&mut rest).expect("text");
        reader.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
        assert!(reader.wait().expect("it ends").success(), "{mode}: {errors}");
        assert!(rest.trim().parse::<u64>().is_ok_and(|rounds| rounds > 20), "{mode}: {rest}");
    }
}
