//! redis-rs, its multiplexed connection.

use anyhow::Result;
use mainstay_test_clients::{Client, PATIENCE, SCRIPT, Target, run};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, AsyncTypedCommands, Script, Value, cmd, pipe};

struct Redis(MultiplexedConnection);

fn client(to: &Target) -> Result<redis::Client> {
    let protocol = if to.resp3 { "resp3" } else { "resp2" };
    Ok(redis::Client::open(format!("redis://:{}@{}:{}/1?protocol={protocol}", to.password, to.host, to.port))?)
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE))
}

impl Client for Redis {
    async fn connect(to: &Target) -> Result<Self> {
        let mut connection = client(to)?.get_multiplexed_async_connection_with_config(&config()).await?;
        let () = cmd("CLIENT").arg("SETNAME").arg("unnoticed").query_async(&mut connection).await?;
        Ok(Self(connection))
    }

    async fn set(&self, key: &str, value: &str) -> Result<String> {
        Ok(cmd("SET").arg(key).arg(value).query_async(&mut self.0.clone()).await?)
    }

    async fn get(&self, key: &str) -> Result<String> {
        Ok(cmd("GET").arg(key).query_async(&mut self.0.clone()).await?)
    }

    async fn incr(&self, key: &str) -> Result<i64> {
        Ok(cmd("INCR").arg(key).query_async(&mut self.0.clone()).await?)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.0.clone().exists(key).await?)
    }

    async fn pipeline(&self, key: &str, value: &str) -> Result<(String, String, String, i64)> {
        let mut all = pipe();
        all.set(format!("{key}p"), value).get(format!("{key}p")).cmd("ECHO").arg(value).incr(format!("{key}m"), 1);
        Ok(all.query_async(&mut self.0.clone()).await?)
    }

    async fn transaction(&self, key: &str, value: &str) -> Result<(i64, String, String)> {
        let mut all = pipe();
        all.atomic().incr(format!("{key}t"), 1).set(format!("{key}b"), value).get(format!("{key}b"));
        Ok(all.query_async(&mut self.0.clone()).await?)
    }

    async fn script(&self, key: &str, value: &str) -> Result<(i64, String)> {
        Ok(Script::new(SCRIPT).key(key).arg(value).invoke_async(&mut self.0.clone()).await?)
    }

    async fn lpush(&self, list: &str, value: &str) -> Result<()> {
        self.0.clone().lpush(list, value).await?;
        Ok(())
    }

    async fn brpop(&self, list: &str, seconds: f64) -> Result<Option<String>> {
        let popped: Option<(String, String)> = cmd("BRPOP").arg(list).arg(seconds).query_async(&mut self.0.clone()).await?;
        Ok(popped.map(|(_, element)| element))
    }

    async fn publish(&self, channel: &str, value: &str) -> Result<()> {
        let _: Value = cmd("PUBLISH").arg(channel).arg(value).query_async(&mut self.0.clone()).await?;
        Ok(())
    }

    async fn listen(to: &Target, channel: &str, heard: impl Fn()) -> Result<()> {
        if to.resp3 {
            let (sender, mut pushes) = tokio::sync::mpsc::unbounded_channel();
            let config = config().set_push_sender(sender);
            let mut connection = client(to)?.get_multiplexed_async_connection_with_config(&config).await?;
            connection.subscribe(channel).await?;
            while let Some(push) = pushes.recv().await {
                match push.kind {
                    redis::PushKind::Message => heard(),
                    redis::PushKind::Disconnection => break,
                    _ => {}
                }
            }
            return Ok(());
        }
        let mut pubsub = client(to)?.get_async_pubsub().await?;
        pubsub.subscribe(channel).await?;
        let mut messages = pubsub.on_message();
        while futures::StreamExt::next(&mut messages).await.is_some() {
            heard();
        }
        Ok(())
    }
}

fn main() {
    run::<Redis>();
}
