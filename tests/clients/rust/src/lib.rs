//! What both programs do, whichever client they use. See ../README.md.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use futures::future::{Either, join_all, select, try_join};

/// Counts and says whose it was.
pub const SCRIPT: &str = "return {redis.call('INCR', KEYS[1]), ARGV[1]}";
/// No reply takes longer while the primary changes. Some clients wait for half a second only unless they are told.
pub const PATIENCE: Duration = Duration::from_secs(20);
const WORKERS: usize = 4;

/// Where to, and how.
pub struct Target {
    pub host: String,
    pub port: u16,
    pub password: String,
    pub resp3: bool,
}

/// A connection that does not connect again by itself.
#[allow(async_fn_in_trait)]
pub trait Client: Sized {
    async fn connect(to: &Target) -> Result<Self>;
    async fn set(&self, key: &str, value: &str) -> Result<String>;
    async fn get(&self, key: &str) -> Result<String>;
    async fn incr(&self, key: &str) -> Result<i64>;
    async fn exists(&self, key: &str) -> Result<bool>;
    /// SET, GET, ECHO, INCR.
    async fn pipeline(&self, key: &str, value: &str) -> Result<(String, String, String, i64)>;
    /// INCR, SET, GET.
    async fn transaction(&self, key: &str, value: &str) -> Result<(i64, String, String)>;
    async fn script(&self, key: &str, value: &str) -> Result<(i64, String)>;
    async fn lpush(&self, list: &str, value: &str) -> Result<()>;
    async fn brpop(&self, list: &str, seconds: f64) -> Result<Option<String>>;
    async fn publish(&self, channel: &str, value: &str) -> Result<()>;
    /// Never returns but with an error.
    async fn listen(to: &Target, channel: &str, heard: impl Fn()) -> Result<()>;
}

fn must<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<()> {
    ensure!(is == should, "{what}: {is:?} instead of {should:?}");
    Ok(())
}

/// The whole program.
pub fn run<C: Client>() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, password, resp] = &arguments[..] else { panic!("HOST PORT PASSWORD RESP") };
    let (host, port, password) = (host.clone(), port.parse().expect("a port"), password.clone());
    let target = Target { host, port, password, resp3: resp == "3" };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let Err(error) = runtime.block_on(rounds::<C>(&target)) {
        eprintln!("{error:?}");
        std::process::exit(1);
    }
    // Whatever a client does when it is dropped is no matter of this test.
    std::process::exit(0);
}

async fn rounds<C: Client>(target: &Target) -> Result<()> {
    let over = Cell::new(false);
    let heard = Cell::new(None::<Instant>);
    let taken = RefCell::new(Vec::new());
    let work = async |number: usize| -> Result<i64> {
        let client = C::connect(target).await?;
        let key = format!("w{number}:");
        let mut turn = 0;
        while !over.get() {
            turn += 1;
            let value = format!("{key}{turn}");
            must("SET", client.set(&format!("{key}k"), &value).await?, "OK".into())?;
            must("GET", client.get(&format!("{key}k")).await?, value.clone())?;
            must("INCR", client.incr(&format!("{key}n")).await?, turn)?;
            let whole = ("OK".into(), value.clone(), value.clone(), turn);
            must("pipeline", client.pipeline(&key, &value).await?, whole)?;
            must("transaction", client.transaction(&key, &value).await?, (turn, "OK".into(), value.clone()))?;
            must("script", client.script(&format!("{key}s"), &value).await?, (turn, value.clone()))?;
            client.lpush("list", &value).await?;
            client.publish("news", &value).await?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(turn)
    };
    let consume = async || -> Result<()> {
        let client = C::connect(target).await?;
        loop {
            match client.brpop("list", 1.0).await? {
                Some(element) => taken.borrow_mut().push(element),
                None if over.get() => return Ok(()),
                None => {}
            }
        }
    };
    let finish = async || -> Result<Instant> {
        let client = C::connect(target).await?;
        while !client.exists("stop").await? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        over.set(true);
        Ok(Instant::now())
    };
    let workers = async || -> Result<Vec<i64>> { join_all((0..WORKERS).map(&work)).await.into_iter().collect() };
    let all = std::pin::pin!(try_join(try_join(finish(), consume()), workers()));
    let listen = std::pin::pin!(C::listen(target, "news", || heard.set(Some(Instant::now()))));
    let ((asked, ()), rounds) = match select(all, listen).await {
        Either::Left((all, _)) => all?,
        Either::Right((Err(error), _)) => return Err(error.context("the subscriber")),
        Either::Right((Ok(()), _)) => bail!("the subscriber's connection ended"),
    };
    let mut pushed: Vec<String> =
        (0..WORKERS).flat_map(|number| (1..=rounds[number]).map(move |turn| format!("w{number}:{turn}"))).collect();
    pushed.sort();
    let mut taken = taken.take();
    taken.sort();
    must("elements taken", taken, pushed)?;
    let heard = heard.get().ok_or_else(|| anyhow!("the subscriber heard nothing"))?;
    ensure!(heard + Duration::from_secs(2) > asked, "the subscriber does not hear any more");
    println!("{}", rounds.iter().map(i64::to_string).collect::<Vec<_>>().join(" "));
    Ok(())
}
