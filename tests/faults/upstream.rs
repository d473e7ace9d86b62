//! The API server behind the proxy.

use std::io;

use http::{HeaderMap, Response, header, request};
use hyper::body::Bytes;
use reqwest::{Certificate, Client, redirect};

/// Where the API server is, and how to know it.
pub struct Upstream {
    url: String,
    trust: Trust,
    redirect: Option<(String, String)>,
}

enum Trust {
    Anybody,
    SignedBy(Vec<u8>),
}

impl Upstream {
    /// The server at `url`, signed by an authority in `ca`, a PEM bundle.
    pub fn trusting(url: &str, ca: impl Into<Vec<u8>>) -> Self {
        Self { url: url.to_owned(), trust: Trust::SignedBy(ca.into()), redirect: None }
    }

    /// The server at `url`, plain HTTP or with whatever certificate it shows.
    pub fn unverified(url: &str) -> Self {
        Self { url: url.to_owned(), trust: Trust::Anybody, redirect: None }
    }

    /// Requests whose path has `from` in it go where `to` is instead: two clients that ask for one lease get two.
    pub fn redirecting(self, from: &str, to: &str) -> Self {
        Self { redirect: Some((from.to_owned(), to.to_owned())), ..self }
    }

    pub(super) fn connect(self) -> io::Result<Connection> {
        // Fails only when a provider is installed already, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder().no_proxy().redirect(redirect::Policy::none());
        let builder = match self.trust {
            Trust::Anybody => builder.tls_danger_accept_invalid_certs(true),
            Trust::SignedBy(pem) => {
                builder.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(io::Error::other)?)
            }
        };
        let client = builder.build().map_err(io::Error::other)?;
        Ok(Connection { client, base: self.url.trim_end_matches('/').to_owned(), redirect: self.redirect })
    }
}

/// A client of the API server that passes requests on as they came.
pub(super) struct Connection {
    client: Client,
    base: String,
    redirect: Option<(String, String)>,
}

impl Connection {
    /// Sends the request and returns once the head of the answer is here.
    pub async fn send(&self, head: &request::Parts, body: Bytes) -> reqwest::Result<Response<reqwest::Body>> {
        let path = head.uri.to_string();
        let path = self.redirect.as_ref().map_or(path.clone(), |(from, to)| path.replacen(from, to, 1));
        let url = format!("{}{path}", self.base);
        let mut headers = end_to_end(&head.headers);
        headers.remove(header::HOST);
        let answer = self.client.request(head.method.clone(), url).headers(headers).body(body).send().await?;
        let mut answer: Response<reqwest::Body> = answer.into();
        *answer.headers_mut() = end_to_end(answer.headers());
        Ok(answer)
    }
}

/// The headers that are about the message and not about the one connection it came over.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in
        [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::CONTENT_LENGTH]
    {
        headers.remove(name);
    }
    headers
}
