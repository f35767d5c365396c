//! The account of a machine of Google's, by the machine's metadata server. Knows nothing of files.

use reqwest::{
    Method,
    header::{HeaderMap, HeaderValue},
};
use url::Url;

use super::{Login, Surroundings, none, oauth};
const HOST: &str = "metadata.google.internal";
const PATH: &str = "computeMetadata/v1/instance/service-accounts/default/token";
/// Says on the way there that the request was meant for the server, and on the way back that it is the server's.
const FLAVOR: &str = "metadata-flavor";
const GOOGLE: &str = "Google";

/// A token of the machine's account; `GCE_METADATA_HOST` may name another host.
pub(super) async fn login(around: &Surroundings) -> Login {
    let host = around.environment.get("GCE_METADATA_HOST").unwrap_or_else(|| HOST.to_owned());
    let url = Url::parse(&format!("http://{host}/{PATH}"))
        .map_err(|_| none("GCE_METADATA_HOST is no host with or without a port"))?;
    let headers = HeaderMap::from_iter([(
        reqwest::header::HeaderName::from_static(FLAVOR),
        HeaderValue::from_static(GOOGLE),
    )]);
    let answer = around.metadata.send(Method::GET, url, headers, None).await?;
    if answer.header(FLAVOR) != Some(GOOGLE) {
        return Err(none("what answers in place of the metadata server is not Google's"));
    }
    if answer.status == 404 {
        return Err(none("the metadata server knows of no service account for this machine"));
    }
    oauth::read(&answer, around.clock.now())
}
