// SPDX-License-Identifier: GPL-3.0-or-later
//! Where Redis is: one server, one that Sentinels watch, or a cluster. The only file that tells them apart, besides
//! [`super::connection`], which sends to a cluster what it sends to a server in one pipeline.

use crate::config;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult,
    aio::{MultiplexedConnection, PubSub},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::sync::Mutex;

/// A deployment of Redis, by its addresses.
pub enum Target {
    /// One server.
    Server(Client),
    /// The master that Sentinels name; they are asked at every new connection.
    Sentinel(Mutex<SentinelClient>),
    /// Some nodes of a cluster.
    Cluster(Vec<ConnectionInfo>),
}

/// One open connection, shared by cloning.
#[derive(Clone)]
pub enum Wire {
    /// To a server.
    Server(MultiplexedConnection),
    /// To the nodes of a cluster.
    Cluster(ClusterConnection),
}

impl Target {
    /// Reads addresses, connects to nothing.
    pub fn new(url: &config::RedisUrl) -> RedisResult<Self> {
        match url {
            config::RedisUrl::One(url) => match url.expose_secret().strip_prefix("redis+sentinel://") {
                Some(rest) => sentinel(rest),
                None => Ok(Self::Server(Client::open(address(url.expose_secret())?)?)),
            },
            config::RedisUrl::Cluster(nodes) if nodes.is_empty() => Err(wrong("a cluster without nodes")),
            config::RedisUrl::Cluster(nodes) => {
                let nodes: Vec<_> =
                    nodes.iter().map(|node| address(node.expose_secret())).collect::<RedisResult<_>>()?;
                ClusterClient::new(nodes.clone())?;
                Ok(Self::Cluster(nodes))
            }
        }
    }

    /// Whether its keys are spread over several servers.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// A new connection whose commands may take `patience`.
    pub async fn connect(&self, patience: Duration) -> RedisResult<Wire> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        let client = match self {
            Self::Server(client) => client.clone(),
            Self::Sentinel(sentinels) => sentinels.lock().await.async_get_client().await?,
            Self::Cluster(nodes) => return cluster(nodes, patience).await.map(Wire::Cluster),
        };
        client.get_multiplexed_async_connection_with_config(&config).await.map(Wire::Server)
    }

    /// A new connection for announcements; in a cluster to any node, since all of them hear every announcement.
    pub async fn listen(&self) -> RedisResult<PubSub> {
        let client = match self {
            Self::Server(client) => client.clone(),
            Self::Sentinel(sentinels) => sentinels.lock().await.async_get_client().await?,
            Self::Cluster(nodes) => Client::open(nodes[fastrand::usize(..nodes.len())].clone())?,
        };
        client.get_async_pubsub().await
    }
}

async fn cluster(nodes: &[ConnectionInfo], patience: Duration) -> RedisResult<ClusterConnection> {
    ClusterClient::builder(nodes.iter().cloned())
        .connection_timeout(patience)
        .response_timeout(patience)
        .tcp_settings(tcp())
        .build()?
        .get_async_connection()
        .await
}

/// Reads `[user:password@]host:port,host:port/service[?db=N]`. User and password are those of the watched servers.
fn sentinel(rest: &str) -> RedisResult<Target> {
    let (credentials, rest) = rest.rsplit_once('@').map_or((None, rest), |(left, right)| (Some(left), right));
    let (hosts, service) = rest.split_once('/').ok_or_else(|| wrong("a Sentinel URL without a service"))?;
    let (service, db) = match service.split_once("?db=") {
        Some((service, db)) => (service, db.parse().map_err(|_| wrong("a database that is no number"))?),
        None => (service, 0),
    };
    if service.is_empty() {
        return Err(wrong("a Sentinel URL without a service"));
    }
    let sentinels: Vec<_> =
        hosts.split(',').map(|host| address(&format!("redis://{host}"))).collect::<RedisResult<_>>()?;
    // The client crate's own reading of user and password, percent signs included.
    let login = address(&format!("redis://{}@host", credentials.unwrap_or_default()))?;
    let server = RedisConnectionInfo::clone(login.redis_settings()).set_db(db);
    let server =
        SentinelNodeConnectionInfo::default().set_redis_connection_info(server).set_tcp_settings(tcp());
    let client = SentinelClient::build(sentinels, service, Some(server), SentinelServerType::Master)?;
    Ok(Target::Sentinel(Mutex::new(client)))
}

fn address(url: &str) -> RedisResult<ConnectionInfo> {
    let address = url.into_connection_info()?;
    match address.addr() {
        ConnectionAddr::Unix(_) => Ok(address),
        _ => Ok(address.set_tcp_settings(tcp())),
    }
}

/// Small commands must not wait for the acknowledgement of the ones before.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn wrong(what: &'static str) -> RedisError {
    (ErrorKind::InvalidClientConfig, what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> RedisResult<Target> {
        Target::new(&config::RedisUrl::One(url.into()))
    }

    #[test]
    fn every_kind_of_address_is_read() {
        for url in
            ["redis://127.0.0.1:6379/0", "rediss://user:secret@redis.example", "unix:///run/redis.sock"]
        {
            assert!(matches!(target(url), Ok(Target::Server(_))), "{url}");
        }
        for url in ["redis+sentinel://a:26379,b:26379/main", "redis+sentinel://u:p%40@a/main?db=3"] {
            assert!(matches!(target(url), Ok(Target::Sentinel(_))), "{url}");
        }
        let nodes = vec!["redis://a:7000".into(), "redis://b:7000".into()];
        assert!(matches!(Target::new(&config::RedisUrl::Cluster(nodes)), Ok(Target::Cluster(_))));
    }

    #[test]
    fn a_wrong_address_is_an_error() {
        for url in
            ["", "http://a", "redis+sentinel://a:26379", "redis+sentinel://a/", "redis+sentinel://a/s?db=x"]
        {
            assert!(target(url).is_err(), "{url}");
        }
        assert!(Target::new(&config::RedisUrl::Cluster(Vec::new())).is_err());
    }
}
