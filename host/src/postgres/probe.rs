//! Speaks just enough of PostgreSQL's protocol to know whether the server takes connections, and
//! to make its database. Used while starting only; everything after goes through sqlx.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

const PROTOCOL_3_0: u32 = 196_608;
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What the server said.
#[derive(Debug)]
pub(super) enum Answer {
    /// The database exists and takes connections.
    Ready(UnixStream),
    /// No such database yet.
    NoDatabase,
    /// It recovers, or it is just starting.
    NotYet,
    /// Anything else, in the server's words.
    Refused(String),
}

/// The socket file a server with the default port makes in a folder.
pub(super) fn socket_file(folder: &Path) -> PathBuf {
    folder.join(".s.PGSQL.5432")
}

/// Opens a session; an error means that nobody listens.
pub(super) async fn ask(folder: &Path, database: &str) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket_file(folder)).await?;
    let parameters = format!("user\0bulkhead\0database\0{database}\0\0");
    let mut startup = PROTOCOL_3_0.to_be_bytes().to_vec();
    startup.extend_from_slice(parameters.as_bytes());
    write_framed(&mut stream, &startup).await?;
    Ok(match until_idle(&mut stream).await? {
        None => Answer::Ready(stream),
        Some(failure) => match failure.code.as_str() {
            "3D000" => Answer::NoDatabase,
            "57P03" => Answer::NotYet,
            _ => Answer::Refused(failure.message),
        },
    })
}

/// Makes the host's database.
pub(super) async fn create_database(folder: &Path) -> io::Result<()> {
    let Answer::Ready(mut stream) = ask(folder, "postgres").await? else {
        return Err(io::Error::other(
            "the server takes no session for its own database",
        ));
    };
    stream.write_all(b"Q").await?;
    write_framed(&mut stream, b"create database bulkhead\0").await?;
    let failure = until_idle(&mut stream).await?;
    stream.write_all(b"X\0\0\0\x04").await?;
    failure.map_or(Ok(()), |failure| Err(io::Error::other(failure.message)))
}

#[derive(Debug, Default)]
struct Failure {
    code: String,
    message: String,
}

async fn write_framed(stream: &mut UnixStream, body: &[u8]) -> io::Result<()> {
    let bytes = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
    stream
        .write_all(&[&bytes.to_be_bytes(), body].concat())
        .await
}

/// Reads until the server waits for the next query, or has closed after an error.
async fn until_idle(stream: &mut UnixStream) -> io::Result<Option<Failure>> {
    let mut failure = None;
    loop {
        let kind = match stream.read_u8().await {
            Ok(kind) => kind,
            Err(_) if failure.is_some() => return Ok(failure),
            Err(error) => return Err(error),
        };
        let bytes = usize::try_from(stream.read_u32().await?).map_err(io::Error::other)?;
        let bytes = bytes
            .checked_sub(4)
            .filter(|&bytes| bytes <= MESSAGE_BYTES_MAX);
        let mut body = vec![0; bytes.ok_or_else(|| io::Error::other("no PostgreSQL answers"))?];
        stream.read_exact(&mut body).await?;
        match kind {
            b'Z' => return Ok(failure),
            b'E' => failure = Some(read_failure(&body)),
            _ => {}
        }
    }
}

/// Fields of one letter and a text each, with a NUL after every one.
fn read_failure(body: &[u8]) -> Failure {
    let mut failure = Failure::default();
    for field in body.split(|&byte| byte == 0) {
        let text = || String::from_utf8_lossy(&field[1..]).into_owned();
        match field.first() {
            Some(b'C') => failure.code = text(),
            Some(b'M') => failure.message = text(),
            _ => {}
        }
    }
    failure
}
