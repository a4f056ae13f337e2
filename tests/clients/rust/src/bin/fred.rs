//! fred.

use anyhow::{Result, bail};
use fred::prelude::*;
use fred::types::RespVersion;
use fred::types::scripts::Script;
use mainstay_test_clients::{Client as Each, PATIENCE, SCRIPT, Target, run};

struct Fred(Client);

fn builder(to: &Target) -> Builder {
    let mut builder = Builder::from_config(Config {
        server: ServerConfig::new_centralized(to.host.clone(), to.port),
        password: Some(to.password.clone()),
        database: Some(1),
        version: if to.resp3 { RespVersion::RESP3 } else { RespVersion::RESP2 },
        ..Config::default()
    });
    builder.with_performance_config(|config| config.default_command_timeout = PATIENCE);
    // A lost connection has to show: no second connection, no second try.
    builder.with_connection_config(|config| config.max_command_attempts = 1);
    builder
}

impl Each for Fred {
    async fn connect(to: &Target) -> Result<Self> {
        let client = builder(to).build()?;
        client.init().await?;
        let _: () = client.client_setname("unnoticed").await?;
        Ok(Self(client))
    }

    async fn set(&self, key: &str, value: &str) -> Result<String> {
        Ok(self.0.set(key, value, None, None, false).await?)
    }

    async fn get(&self, key: &str) -> Result<String> {
        Ok(self.0.get(key).await?)
    }

    async fn incr(&self, key: &str) -> Result<i64> {
        Ok(self.0.incr(key).await?)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.0.exists(key).await?)
    }

    async fn pipeline(&self, key: &str, value: &str) -> Result<(String, String, String, i64)> {
        let pipeline = self.0.pipeline();
        let _: Value = pipeline.set(format!("{key}p"), value, None, None, false).await?;
        let _: Value = pipeline.get(format!("{key}p")).await?;
        let _: Value = pipeline.echo(value).await?;
        let _: Value = pipeline.incr(format!("{key}m")).await?;
        Ok(pipeline.all().await?)
    }

    async fn transaction(&self, key: &str, value: &str) -> Result<(i64, String, String)> {
        let transaction = self.0.multi();
        let _: Value = transaction.incr(format!("{key}t")).await?;
        let _: Value = transaction.set(format!("{key}b"), value, None, None, false).await?;
        let _: Value = transaction.get(format!("{key}b")).await?;
        Ok(transaction.exec(true).await?)
    }

    async fn script(&self, key: &str, value: &str) -> Result<(i64, String)> {
        Ok(Script::from_lua(SCRIPT).evalsha_with_reload(&self.0, key, value).await?)
    }

    async fn lpush(&self, list: &str, value: &str) -> Result<()> {
        let _: i64 = self.0.lpush(list, value).await?;
        Ok(())
    }

    async fn brpop(&self, list: &str, seconds: f64) -> Result<Option<String>> {
        match self.0.brpop::<(String, String), _>(list, seconds).await {
            Ok((_, element)) => Ok(Some(element)),
            // Its word for nil; our own deadline is twenty times as long.
            Err(error) if *error.kind() == ErrorKind::Timeout => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn publish(&self, channel: &str, value: &str) -> Result<()> {
        let _: i64 = self.0.publish(channel, value).await?;
        Ok(())
    }

    async fn listen(to: &Target, channel: &str, heard: impl Fn()) -> Result<()> {
        let client = builder(to).build_subscriber_client()?;
        let (mut messages, mut errors) = (client.message_rx(), client.error_rx());
        client.init().await?;
        client.subscribe(channel).await?;
        loop {
            tokio::select! {
                message = messages.recv() => { message?; heard() }
                error = errors.recv() => bail!("{error:?}"),
            }
        }
    }
}

fn main() {
    run::<Fred>();
}
