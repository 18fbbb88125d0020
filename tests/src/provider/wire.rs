//! The provider's side of HTTP/1.1, by hand, so that it can break every rule on order.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Received;

/// Reads one request with a JSON body; `None` where the client went away.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length")?.parse().ok()?;
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received {
        body: serde_json::from_slice(&bytes[head_end..]).unwrap_or(Value::Null),
        authorization: header("authorization"),
        traceparent: header("traceparent"),
        path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
    })
}

/// Resolves when the client closed its side.
pub(super) async fn closed(from: &mut OwnedReadHalf) {
    let mut byte = [0; 1];
    while let Ok(1..) = from.read(&mut byte).await {}
}

/// The head of an answer whose body ends with the connection.
pub(super) async fn write_head(
    to: &mut OwnedWriteHalf,
    status: u16,
    headers: &[(String, String)],
) -> Option<()> {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    write(to, head.as_bytes()).await
}

/// `None` where the client went away.
pub(super) async fn write(to: &mut OwnedWriteHalf, bytes: &[u8]) -> Option<()> {
    to.write_all(bytes).await.ok()?;
    to.flush().await.ok()
}
