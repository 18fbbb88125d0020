//! Server-sent events as bytes: `id:` is the seq, `event:` the kind, `data:` the stored text, byte for byte.

use bytes::{BufMut as _, Bytes, BytesMut};

/// A comment keeps proxies from closing a quiet stream; the first one goes out at once.
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// One event. `data` must be one line, which JSON text always is.
pub fn frame(seq: i32, kind: &str, data: &str) -> Bytes {
    debug_assert!(!data.contains(['\n', '\r']));
    let mut bytes = BytesMut::with_capacity(data.len() + kind.len() + 32);
    bytes.put_slice(b"id: ");
    bytes.put_slice(seq.to_string().as_bytes());
    bytes.put_slice(b"\nevent: ");
    bytes.put_slice(kind.as_bytes());
    bytes.put_slice(b"\ndata: ");
    bytes.put_slice(data.as_bytes());
    bytes.put_slice(b"\n\n");
    bytes.freeze()
}
