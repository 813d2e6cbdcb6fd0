//! Logs and metrics. Logs go to journald or stderr; metrics are a Prometheus page on a loopback address.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::io::AsyncWriteExt;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::net::{AcceptLimits, Gate, Listener, Peer, Stream, serve};
use crate::service::Lifecycle;

/// Where logs go and how they look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for a person, on stderr.
    #[default]
    Text,
    /// One JSON object a line, on stderr.
    Json,
    /// Structured fields to systemd's journal.
    Journald,
}

/// Starts logging for the process. `filter` is a level or a tracing filter such as `info,chasqui_mx=debug`.
pub fn init_logging(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("log filter `{filter}`: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let text = || tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => registry.with(text().with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(text().json().flatten_event(true)).try_init(),
        LogFormat::Journald => {
            let journal = tracing_journald::layer().map_err(|error| format!("journald: {error}"))?;
            registry.with(journal.with_field_prefix(None)).try_init()
        }
    };
    started.map_err(|error| error.to_string())
}

/// Serves the registry as `GET /metrics` until the role ends.
pub async fn serve_metrics(listener: Listener, registry: Arc<Registry>, run: Lifecycle) {
    let limits = AcceptLimits { connections: 16, per_address: 16 };
    serve(listener, Gate::new(limits), Vec::new(), b"", run, move |stream, _: Peer| {
        let registry = Arc::clone(&registry);
        async move {
            let _ = tokio::time::timeout(Duration::from_secs(10), answer(stream, &registry)).await;
        }
    })
    .await;
}

async fn answer(mut stream: Stream, registry: &Registry) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        if request.len() > 8192 || stream.read_more(&mut request, 8192).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = if request.starts_with(b"GET /metrics ") || request.starts_with(b"GET / ") {
        let mut page = String::new();
        match prometheus_client::encoding::text::encode(&mut page, registry) {
            Ok(()) => ("200 OK", page),
            Err(_) => ("500 Internal Server Error", String::new()),
        }
    } else {
        ("404 Not Found", "the metrics are at /metrics\n".to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
