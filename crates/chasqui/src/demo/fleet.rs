//! All roles of the demo, in the order in which they depend on each other.

use std::path::Path;

use anyhow::Context;
use chasqui_base::config;
use chasqui_directory::DirectoryService;
use chasqui_mx::MxService;
use chasqui_proxy::ProxyService;
use chasqui_relay::RelayService;
use chasqui_storage::StorageService;

use super::ports::Ports;
use super::sink::{BoundSink, Listening, Sink};
use super::{Site, files};
use crate::role::Role;
use crate::run::{Bound, Running, whole};

/// Every role with everything open and bound; nobody serves yet.
pub struct BoundFleet {
    directory1: Bound<DirectoryService>,
    directory2: Bound<DirectoryService>,
    storage1: Bound<StorageService>,
    storage2: Bound<StorageService>,
    mx: Bound<MxService>,
    proxy: Bound<ProxyService>,
    relay: Bound<RelayService>,
    sink: BoundSink,
}

/// Every role, serving.
pub struct Fleet {
    directory1: Running<DirectoryService>,
    directory2: Running<DirectoryService>,
    storage1: Running<StorageService>,
    storage2: Running<StorageService>,
    mx: Running<MxService>,
    proxy: Running<ProxyService>,
    relay: Running<RelayService>,
    sink: Sink,
}

impl Fleet {
    /// Binds every role from its own file in the folder.
    pub async fn bind(dir: &Path, ports: Ports, listening: Listening) -> anyhow::Result<BoundFleet> {
        let sink = || BoundSink::bind(&files::sink(dir), ports.inner("sink"), &files::public(dir), listening);
        Ok(BoundFleet {
            directory1: bind(dir, files::DIRECTORY1).await?,
            directory2: bind(dir, files::DIRECTORY2).await?,
            storage1: bind(dir, files::STORAGE1).await?,
            storage2: bind(dir, files::STORAGE2).await?,
            mx: bind(dir, files::MX).await?,
            proxy: bind(dir, files::PROXY).await?,
            relay: bind(dir, files::RELAY).await?,
            sink: sink().context("the demo cannot start (the sink)")?,
        })
    }

    /// Every role reads its file again; the first refusal is returned, after all have been asked.
    pub async fn reload(&self, site: &Site) -> anyhow::Result<()> {
        let dir = &site.dir;
        let results = [
            reload(&self.directory1, dir, files::DIRECTORY1).await,
            reload(&self.directory2, dir, files::DIRECTORY2).await,
            reload(&self.storage1, dir, files::STORAGE1).await,
            reload(&self.storage2, dir, files::STORAGE2).await,
            reload(&self.mx, dir, files::MX).await,
            reload(&self.proxy, dir, files::PROXY).await,
            reload(&self.relay, dir, files::RELAY).await,
        ];
        results.into_iter().collect()
    }

    /// The exchanger and the relay end first, so that what they have open is delivered; who is asked by the others ends last. The proxy
    /// and the storage nodes end together: the nodes say BYE to idle sessions, and with that the proxy's connections end too.
    pub async fn stop(self) {
        tokio::join!(self.mx.stop(), self.relay.stop());
        tokio::join!(self.proxy.stop(), self.storage1.stop(), self.storage2.stop());
        tokio::join!(self.directory1.stop(), self.directory2.stop(), self.sink.stop());
    }
}

impl BoundFleet {
    /// Begins to serve: who is asked by the others first.
    pub fn start(self) -> Fleet {
        Fleet {
            directory1: self.directory1.start(),
            directory2: self.directory2.start(),
            storage1: self.storage1.start(),
            storage2: self.storage2.start(),
            mx: self.mx.start(),
            proxy: self.proxy.start(),
            relay: self.relay.start(),
            sink: self.sink.start(),
        }
    }
}

async fn bind<R: Role>(dir: &Path, file: &str) -> anyhow::Result<Bound<R>> {
    let config = config::load::<R::Config>(&dir.join(file))?;
    Bound::bind(config).await.map_err(whole).with_context(|| format!("the demo cannot start ({file})"))
}

async fn reload<R: Role>(role: &Running<R>, dir: &Path, file: &str) -> anyhow::Result<()> {
    role.reload(&dir.join(file)).await.map_err(whole).with_context(|| file.to_owned())
}
