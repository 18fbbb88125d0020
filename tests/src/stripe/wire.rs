//! Requests as they come over the connection.

use std::collections::BTreeMap;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// One request.
pub(super) struct Request {
    head: String,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn authorization(&self) -> &str {
        self.header("authorization").unwrap_or_default()
    }

    /// The method, the path and the query.
    pub(super) fn line(&self) -> (&str, &str, &str) {
        let mut words = self.head.split(' ');
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        (method, path, query)
    }
}

/// A form, or what is wrong with it: a field twice, or a byte that has to be escaped.
pub(super) fn form(text: &str) -> Result<BTreeMap<String, String>, String> {
    if let Some(plain) = text
        .bytes()
        .find(|b| !b.is_ascii_alphanumeric() && !b"*-._+%&=".contains(b))
    {
        return Err(format!("`{}` is not escaped", char::from(plain)));
    }
    let url = reqwest::Url::parse(&format!("form:x?{text}")).map_err(|e| e.to_string())?;
    let mut fields = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        if fields
            .insert(name.to_string(), value.into_owned())
            .is_some()
        {
            return Err(format!("`{name}` comes twice"));
        }
    }
    Ok(fields)
}

/// The next request; `None` where the connection ends. Nobody sends a second one before the first is answered.
pub(super) async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.ok();
        let read = read.filter(|read| *read > 0)?;
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let request = Request {
            head: head.to_owned(),
            body: body.to_owned(),
        };
        let length = request.header("content-length");
        let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
        if request.body.len() >= length {
            return Some(request);
        }
    }
}
