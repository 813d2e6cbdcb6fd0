//! Delivery against hosts that misbehave, in process; the names that DNS has for them come from a real name server.

mod fitting;
mod host;
mod hostile;
mod local;
mod ordinary;
mod outcomes;
mod protection;

use super::*;
use crate::{
    fate::{DeliveredKind, Trouble, Whose},
    message::{BodyKind, Envelope, Notify, Recipient, Source as Handed},
    tls::TlsConfig,
};
use chasqui_base::{DeliveryId, Span};
use chasqui_courier::Content;
use chasqui_directory::{DirectoryUnavailable, LookUp};
use chasqui_smtp::{Reply, ReversePath};
use host::{Act, Host, Manner};
use std::{collections::HashMap, pin::Pin};

const TEXT: &str = "Subject: hola\r\nFrom: ana@ejemplo.test\r\n\r\n.Hola\r\n";

/// The directory as a table.
#[derive(Default)]
struct Table {
    found: HashMap<String, LookUp>,
    away: std::sync::atomic::AtomicBool,
}

impl Source for Table {
    fn look_up<'a>(
        &'a self,
        address: &'a EmailAddress,
    ) -> Pin<Box<dyn Future<Output = Result<LookUp, DirectoryUnavailable>> + Send + 'a>> {
        let away = self.away.load(std::sync::atomic::Ordering::Relaxed);
        let found = match self.found.get(address.as_str()) {
            Some(found) => found.clone(),
            None if address.domain() == "ejemplo.test" => LookUp::Unknown,
            None => LookUp::NotOurs,
        };
        Box::pin(async move { if away { Err(DirectoryUnavailable) } else { Ok(found) } })
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), StartError>> + Send + '_>> {
        Box::pin(async { Ok(()) })
    }
}

/// A configuration for tests: this host's port, loopback, and little patience.
fn config(port: u16) -> Config {
    let text = format!(
        "hostname = \"relay.ejemplo.test\"\n[delivery]\nport = {port}\nallowed_networks = [\"127.0.0.0/8\"]\n"
    );
    let mut config: Config = chasqui_base::config::parse(&text, "test").unwrap();
    let timeouts = &mut config.delivery.timeouts;
    for span in [
        &mut timeouts.connect,
        &mut timeouts.greeting,
        &mut timeouts.hello,
        &mut timeouts.command,
        &mut timeouts.block,
        &mut timeouts.end,
    ] {
        *span = Span::millis(700);
    }
    config
}

/// A resolver that nobody answers.
fn no_dns() -> Resolver {
    let servers = vec![([127, 0, 0, 1], 9).into()];
    Resolver::new(&chasqui_dns::Config { servers, ..chasqui_dns::Config::default() }).unwrap()
}

fn delivery_with(config: &Config, resolver: Resolver, tls: &TlsConfig, table: Arc<Table>) -> Arc<Delivery> {
    let mut registry = Registry::default();
    let policies = Arc::new(TlsPolicies::open(tls, resolver.clone(), &mut registry).unwrap());
    Delivery::new(config, resolver, policies, table, None, &mut registry).unwrap()
}

fn tls_config(folder: &tempfile::TempDir) -> TlsConfig {
    TlsConfig { state: folder.path().join("tls"), mta_sts: false, ..TlsConfig::default() }
}

/// Delivery to hosts on loopback by their addresses.
fn delivery(config: &Config) -> Arc<Delivery> {
    let folder = tempfile::tempdir().unwrap();
    delivery_with(config, no_dns(), &tls_config(&folder), Arc::default())
}

fn envelope(recipients: &[&str]) -> Envelope {
    Envelope {
        id: DeliveryId::generate(),
        reverse_path: "ana@ejemplo.test".parse::<ReversePath>().unwrap(),
        recipients: recipients
            .iter()
            .map(|address| Recipient {
                address: (*address).to_owned(),
                notify: Notify::default(),
                original: None,
            })
            .collect(),
        smtputf8: false,
        body: BodyKind::SevenBit,
        require_tls: false,
        envelope_id: None,
        returns: None,
        priority: 0,
        received: 0,
        not_before: None,
        expires: u64::MAX,
        source: Handed::Role,
        message_id: None,
    }
}

async fn carry(delivery: &Arc<Delivery>, envelope: Envelope, text: &[u8]) -> Vec<Fate> {
    let destination = delivery.destination(&envelope.recipients[0].address);
    let recipients = (0..envelope.recipients.len() as u32).collect();
    let content = Arc::new(Content::Memory(text.to_vec()));
    let job = Job { envelope: Arc::new(envelope), content, destination, recipients, attempts: 0 };
    let expected = job.recipients.len();
    let mut fates = Arc::clone(delivery).carry(job).await;
    fates.sort_by_key(|(index, _)| *index);
    assert_eq!(fates.len(), expected, "every recipient has one fate: {fates:?}");
    fates.into_iter().map(|(_, fate)| fate).collect()
}

/// Sends the usual message.
async fn send(delivery: &Arc<Delivery>, recipients: &[&str]) -> Vec<Fate> {
    carry(delivery, envelope(recipients), TEXT.as_bytes()).await
}

/// `4.4.2`, and whose trouble it is.
fn trouble(fate: &Fate) -> (String, Whose) {
    match fate {
        Fate::Deferred(Trouble { reply, whose, .. }) => {
            assert!(reply.is_temporary(), "{fate:?}");
            (reply.enhanced().map_or_else(String::new, |code| code.to_string()), *whose)
        }
        Fate::Failed(Trouble { reply, whose, .. }) => {
            assert!(reply.is_permanent(), "{fate:?}");
            (reply.enhanced().map_or_else(String::new, |code| code.to_string()), *whose)
        }
        other => panic!("a trouble is expected: {other:?}"),
    }
}

fn is_delivered(fate: &Fate) -> bool {
    matches!(fate, Fate::Delivered { .. })
}

const HERE: &str = "bea@[127.0.0.1]";
const ALSO: &str = "carlos@[127.0.0.1]";
