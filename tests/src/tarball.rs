//! Gzipped tars as honest and dishonest people make them: each entry says whatever a test wants.

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

/// An archive in the making.
pub struct Tarball {
    builder: Builder<GzEncoder<Vec<u8>>>,
}

impl Default for Tarball {
    fn default() -> Self {
        Self::new()
    }
}

impl Tarball {
    pub fn new() -> Self {
        let gzip = GzEncoder::new(Vec::new(), Compression::fast());
        Self {
            builder: Builder::new(gzip),
        }
    }

    /// The whole archive.
    pub fn done(self) -> Vec<u8> {
        let gzip = self.builder.into_inner().expect("it is in memory");
        gzip.finish().expect("it is in memory")
    }

    pub fn file(self, path: &str, body: &[u8]) -> Self {
        self.long(header(EntryType::Regular, 0o644), path, body)
    }

    pub fn program(self, path: &str, body: &[u8]) -> Self {
        self.long(header(EntryType::Regular, 0o755), path, body)
    }

    pub fn folder(self, path: &str) -> Self {
        self.long(header(EntryType::Directory, 0o700), path, b"")
    }

    /// A file whose path is written as it stands, whatever it is.
    pub fn raw(self, path: &str, body: &[u8]) -> Self {
        self.put(header(EntryType::Regular, 0o644), (path, ""), body)
    }

    pub fn symlink(self, at: &str, to: &str) -> Self {
        self.put(header(EntryType::Symlink, 0o777), (at, to), b"")
    }

    pub fn hard(self, at: &str, to: &str) -> Self {
        self.put(header(EntryType::Link, 0o644), (at, to), b"")
    }

    /// An entry of another kind.
    pub fn special(self, path: &str, kind: EntryType) -> Self {
        self.put(header(kind, 0o644), (path, ""), b"")
    }

    /// What `git archive` puts first.
    pub fn global(self, record: &str) -> Self {
        let head = header(EntryType::XGlobalHeader, 0o644);
        self.put(head, ("pax_global_header", ""), record.as_bytes())
    }

    fn long(mut self, mut header: Header, path: &str, body: &[u8]) -> Self {
        header.set_size(body.len() as u64);
        self.builder
            .append_data(&mut header, path, body)
            .expect("it is in memory");
        self
    }

    fn put(mut self, mut header: Header, (path, to): (&str, &str), body: &[u8]) -> Self {
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..to.len()].copy_from_slice(to.as_bytes());
        header.set_size(body.len() as u64);
        header.set_cksum();
        self.builder.append(&header, body).expect("it is in memory");
        self
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header
}
