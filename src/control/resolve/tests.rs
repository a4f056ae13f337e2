use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Instant, sleep, timeout};

use super::*;

const LONG: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(20);

fn ip(number: usize) -> HostAddress {
    SocketAddr::from(([10, 0, (number / 256) as u8, (number % 256) as u8], 0)).into()
}

fn redis(port: u16) -> BackendAddress {
    BackendAddress::Tcp { host: "redis".into(), port }
}

type Says = Option<Result<Vec<HostAddress>, String>>;

/// A resolver that answers what is put into it: addresses, an error, or nothing at all.
#[derive(Clone, Default)]
struct Oracle {
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
}

impl Oracle {
    fn set(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn answer(self) -> Result<Vec<HostAddress>, String> {
        assert_eq!(self.running.fetch_add(1, Ordering::SeqCst), 0, "two questions at a time");
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = loop {
            if let Some(says) = self.says.lock().unwrap().clone() {
                break says;
            }
            sleep(Duration::from_millis(5)).await;
        };
        self.running.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    fn names(&self) -> Names {
        let oracle = self.clone();
        let ask_host: Ask<HostAddress> = Arc::new(move |_| boxed(oracle.clone().answer()));
        Names::asking(LONG, Duration::from_millis(50), ask_host, Arc::new(|_| boxed(async { Ok(Vec::new()) })))
    }
}

/// Waits until the names satisfy this, updating whenever they tell.
async fn wait_until(names: &mut Names, addresses: &[BackendAddress], mut condition: impl FnMut(&mut Names) -> bool) {
    let told = names.told();
    let all = async {
        loop {
            names.update(addresses);
            if condition(names) {
                return;
            }
            told.notified().await;
        }
    };
    timeout(SOON, all).await.expect("it comes true");
}

fn found(names: &Names) -> Result<Vec<Endpoint>, Arc<str>> {
    names.leads(&redis(1)).remove(0).endpoints
}

fn ends(ips: &[usize]) -> Vec<Endpoint> {
    ips.iter().map(|number| ip(*number).at(1)).collect()
}

#[tokio::test]
async fn twenty_backends_on_one_host_ask_once_and_each_has_its_port() {
    let oracle = Oracle::default();
    oracle.set(Some(Ok(vec![ip(1)])));
    let mut names = oracle.names();
    let all: Vec<BackendAddress> = (1..=20).map(redis).collect();
    wait_until(&mut names, &all, |names| found(names).is_ok()).await;
    let lead = names.leads(&redis(7)).remove(0);
    assert_eq!(lead.endpoints, Ok(vec![ip(1).at(7)]));
    assert_eq!((lead.host.as_deref(), oracle.asked()), (Some("redis"), 1));
}

#[tokio::test]
async fn what_fails_hangs_or_answers_nothing_keeps_the_last_answer_and_is_said_once() {
    let oracle = Oracle::default();
    let mut names = oracle.names();
    names.update(&[redis(1)]);
    assert_eq!(found(&names), Err("no answer from the resolver yet".into()));
    oracle.set(Some(Ok(vec![ip(1)])));
    wait_until(&mut names, &[redis(1)], |names| found(names).is_ok()).await;
    assert_eq!(names.incidents(), [Incident::Leads { name: "redis".into(), to: "10.0.0.1".into() }]);
    for (says, why) in [
        (Some(Err("NXDOMAIN".to_owned())), "NXDOMAIN"),
        (Some(Ok(Vec::new())), "the resolver knows no address for it"),
        (None, "the resolver does not answer within 5 s"),
    ] {
        oracle.set(says);
        names.again(&["redis".into()]);
        wait_until(&mut names, &[redis(1)], |names| !names.failing().is_empty()).await;
        assert_eq!(names.incidents(), [Incident::Fails { name: "redis".into(), why: why.into() }]);
        assert_eq!(found(&names), Ok(ends(&[1])));
        oracle.set(Some(Ok(vec![ip(1)])));
        names.again(&["redis".into()]);
        wait_until(&mut names, &[redis(1)], |names| names.failing().is_empty()).await;
        assert_eq!(names.incidents(), [Incident::Recovers { name: "redis".into() }]);
    }
}

#[tokio::test]
async fn however_many_checks_fail_a_name_is_asked_four_times_a_second_at_most() {
    let oracle = Oracle::default();
    oracle.set(Some(Ok(vec![ip(1)])));
    let mut names = oracle.names();
    names.update(&[redis(1)]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1100) {
        names.again(&["redis".into()]);
        sleep(Duration::from_millis(1)).await;
    }
    let most = begun.elapsed().as_millis() / 250 + 1;
    assert!((3..=most).contains(&(oracle.asked() as u128)), "{} questions, at most {most}", oracle.asked());
}

#[tokio::test]
async fn an_answer_with_too_many_addresses_is_cut_and_its_order_exchanges_nobody() {
    let oracle = Oracle::default();
    let many: Vec<HostAddress> = (0..BACKENDS_MAX + 44).map(ip).collect();
    oracle.set(Some(Ok(many[100..].to_vec())));
    let mut names = oracle.names();
    wait_until(&mut names, &[redis(1)], |names| found(names).is_ok()).await;
    let before: HashSet<Endpoint> = found(&names).unwrap().into_iter().collect();
    names.incidents();
    oracle.set(Some(Ok(many.iter().rev().copied().collect())));
    names.again(&["redis".into()]);
    wait_until(&mut names, &[redis(1)], |names| {
        names.incidents().contains(&Incident::Cut { name: "redis".into(), of: BACKENDS_MAX + 44 })
    })
    .await;
    let after: HashSet<Endpoint> = found(&names).unwrap().into_iter().collect();
    assert_eq!(after.len(), BACKENDS_MAX);
    assert!(before.is_subset(&after), "who was there stays");
}

#[tokio::test]
async fn another_pace_and_other_names_forget_no_answer() {
    let oracle = Oracle::default();
    oracle.set(Some(Ok(vec![ip(1)])));
    let mut names = oracle.names();
    wait_until(&mut names, &[redis(1)], |names| found(names).is_ok()).await;
    oracle.set(None);
    names.set_pace(Duration::from_millis(300), Duration::from_millis(50));
    let asked = oracle.asked();
    names.update(&[redis(1), redis(2)]);
    assert_eq!(found(&names), Ok(ends(&[1])));
    timeout(SOON, async {
        while oracle.asked() == asked {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the new pace counts at once");
    assert_eq!(found(&names), Ok(ends(&[1])));
}

#[tokio::test]
async fn what_is_an_address_is_never_asked_for() {
    let oracle = Oracle::default();
    let mut names = oracle.names();
    let addresses: Vec<BackendAddress> =
        ["10.0.0.1:1", "[::1]:1", "unix:/run/redis.sock"].iter().map(|text| text.parse().unwrap()).collect();
    names.update(&addresses);
    assert!(addresses.iter().all(|address| names.leads(address).remove(0).endpoints.is_ok()));
    tokio::task::yield_now().await;
    assert_eq!(oracle.asked(), 0);
}
