//! Fetching a tarball over HTTP, bounded in bytes and in time. Must hold: whatever the other side does, it ends.

use std::time::Duration;

use reqwest::{Response, StatusCode, Url, header::LOCATION};
use tokio::time::timeout;

use crate::kit::egress::Egress;

const BYTES_MAX: usize = 128 << 20;
/// Mirrors send on to where they keep their files; what comes is checked by its digest, wherever it is from.
const REDIRECTS_MAX: usize = 3;
/// Nothing at all for so long is an end.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const WHOLE_MAX: Duration = Duration::from_secs(15 * 60);

/// The body behind the address; else one line that says why there is none.
pub(super) async fn fetch(
    url: Url,
    progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
) -> Result<Vec<u8>, String> {
    let fetched = timeout(WHOLE_MAX, async {
        let mut response = answer(url).await?;
        let whole = response.content_length();
        if whole.is_some_and(|bytes| bytes > BYTES_MAX as u64) {
            return Err(format!("it is larger than {BYTES_MAX} bytes"));
        }
        let mut body = Vec::new();
        loop {
            let piece = heard(response.chunk()).await?;
            let Some(piece) = piece else { break };
            if body.len() + piece.len() > BYTES_MAX {
                return Err(format!("it is larger than {BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&piece);
            progress(body.len() as u64, whole);
        }
        Ok(body)
    });
    let minutes = WHOLE_MAX.as_secs() / 60;
    fetched
        .await
        .unwrap_or_else(|_| Err(format!("it was not there after {minutes} minutes")))
}

async fn answer(mut url: Url) -> Result<Response, String> {
    let egress = Egress::new().map_err(|error| error.to_string())?;
    for _ in 0..=REDIRECTS_MAX {
        let response = heard(egress.client().get(url.clone()).send()).await?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let to = response.headers().get(LOCATION);
        let to = to.filter(|_| status.is_redirection());
        let Some(to) = to.and_then(|to| url.join(to.to_str().ok()?).ok()) else {
            return Err(format!("it answered {status}"));
        };
        url = to;
    }
    Err("it sends from one address to the next".to_owned())
}

async fn heard<T>(said: impl Future<Output = reqwest::Result<T>>) -> Result<T, String> {
    match timeout(SILENCE_MAX, said).await {
        Ok(said) => said.map_err(|error| cause(&error.without_url())),
        Err(_) => Err(format!(
            "nothing came for {} seconds",
            SILENCE_MAX.as_secs()
        )),
    }
}

/// The innermost cause says what happened; what is around it says that something did.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
