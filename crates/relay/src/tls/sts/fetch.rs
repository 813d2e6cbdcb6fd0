//! The fetch of a policy (RFC 8461 §3.3): HTTPS from `mta-sts.` the domain, no redirects, one size, one type.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode, header};

use super::super::requirement::Failure;
use super::super::web::{Web, WebError};
use super::policy::{MAX_POLICY, Policy, PolicyError};

/// Why there is no policy to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Web(#[from] WebError),
    #[error("the answer has status {0}")]
    Status(StatusCode),
    #[error("the answer is not text/plain")]
    Type,
    #[error("policy: {0}")]
    Policy(#[from] PolicyError),
}

impl FetchError {
    /// What a TLS report calls it (RFC 8460 §4.3.2.2).
    pub(super) fn kind(&self) -> Failure {
        match self {
            Self::Web(WebError::Certificate(_)) => Failure::StsWebpkiInvalid,
            Self::Policy(_) => Failure::StsPolicyInvalid,
            _ => Failure::StsPolicyFetchError,
        }
    }
}

/// Fetches a domain's policy.
pub(super) async fn fetch(web: &Web, domain: &str) -> Result<Policy, FetchError> {
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = hyper::Uri::from_static("/.well-known/mta-sts.txt");
    let response = web.send(&format!("mta-sts.{domain}"), 443, request, MAX_POLICY).await?;
    if response.status != StatusCode::OK {
        return Err(FetchError::Status(response.status));
    }
    if !is_plain_text(&response.headers) {
        return Err(FetchError::Type);
    }
    let text = std::str::from_utf8(&response.body).map_err(|_| PolicyError::Line)?;
    Ok(Policy::parse(text)?)
}

/// §3.2: `text/plain`, with whatever parameters.
fn is_plain_text(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain"))
}
