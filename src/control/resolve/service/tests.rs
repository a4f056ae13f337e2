use std::net::SocketAddr;
use std::time::Duration;

use domain::base::{Message, MessageBuilder};
use domain::rdata::Cname;
use tokio::net::UdpSocket;

use super::*;

/// What is said of a name: records, each its owner and what it leads to, a port of 0 making it an alias.
type Says = fn(&str) -> (Rcode, Vec<(&'static str, &'static str, u16)>);

/// A name server for one test; ends with its runtime.
async fn server(says: Says) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_octets(&buffer[..length]).unwrap();
            let name = question.sole_question().unwrap().qname().to_name::<Vec<u8>>().to_string();
            let (code, records) = says(name.trim_end_matches('.'));
            let mut answer = MessageBuilder::new_vec().start_answer(&question, code).unwrap();
            for (owner, target, port) in records {
                let (owner, target) =
                    (Name::<Vec<u8>>::vec_from_str(owner).unwrap(), Name::<Vec<u8>>::vec_from_str(target).unwrap());
                if port == 0 {
                    answer.push((owner, 60, Cname::new(target))).unwrap();
                } else {
                    answer.push((owner, 60, Srv::new(10, 5, port, target))).unwrap();
                }
            }
            let _ = socket.send_to(&answer.finish(), peer).await;
        }
    });
    address
}

fn system(servers: Vec<SocketAddr>) -> System {
    let timeout = Duration::from_secs(1);
    System { servers, search: vec!["shop.test".into()], dots: 3, timeout, attempts: 1, tcp: false }
}

async fn asked(system: &System, name: &str) -> Result<Vec<String>, String> {
    let mut targets: Vec<String> = ask(system, name).await?.iter().map(Target::to_string).collect();
    targets.sort();
    Ok(targets)
}

#[tokio::test]
async fn a_service_is_found_by_its_whole_name_by_a_short_one_and_behind_an_alias() {
    let server = server(|name| match name {
        "_redis._tcp.shop.test" => (
            Rcode::NOERROR,
            vec![("_redis._tcp.shop.test", "Redis-0.Shop.test", 7000), ("_redis._tcp.shop.test", "r1.shop.test", 7001)],
        ),
        "_alias._tcp.shop.test" => {
            (Rcode::NOERROR, vec![("_alias._tcp.shop.test", "_r._tcp.x.test", 0), ("_r._tcp.x.test", "r2.test", 1)])
        }
        "_gone._tcp.shop.test" => (Rcode::NOERROR, vec![("_gone._tcp.shop.test", ".", 9)]),
        _ => (Rcode::NXDOMAIN, Vec::new()),
    })
    .await;
    let system = system(vec![server]);
    let both = Ok(vec!["r1.shop.test:7001".to_owned(), "redis-0.shop.test:7000".to_owned()]);
    assert_eq!(asked(&system, "_redis._tcp.shop.test").await, both);
    assert_eq!(asked(&system, "_redis._tcp.shop.test.").await, both);
    assert_eq!(asked(&system, "_redis._tcp").await, both);
    assert_eq!(asked(&system, "_alias._tcp.shop.test").await, Ok(vec!["r2.test:1".to_owned()]));
    // The root as a target: no such service here (RFC 2782).
    assert_eq!(asked(&system, "_gone._tcp.shop.test.").await, Ok(Vec::new()));
    assert_eq!(asked(&system, "_other._tcp.shop.test.").await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_server_that_fails_is_followed_by_the_next_and_alone_it_is_named() {
    let failing = server(|_| (Rcode::SERVFAIL, Vec::new())).await;
    let knowing = server(|_| (Rcode::NOERROR, vec![("_redis._tcp.shop.test", "r.test", 1)])).await;
    let found = asked(&system(vec![failing, knowing]), "_redis._tcp.shop.test").await;
    assert_eq!(found, Ok(vec!["r.test:1".to_owned()]));
    let why = asked(&system(vec![failing]), "_redis._tcp.shop.test").await.unwrap_err();
    assert!(why.contains("127.0.0.1") && why.contains("SERVFAIL"), "{why}");
}
