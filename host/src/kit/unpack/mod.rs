//! A gzipped tar that came from outside, unpacked into a folder that nothing of it can leave: entry by entry, under
//! bounds, whole or not at all. Called by the packages of PostgreSQL and by template packs, which check its digest first.
//! Must hold: no byte is written outside of the folder, nothing that is there is overwritten, and a refusal is one line.

mod archive;
mod links;
mod paths;
mod refused;
mod whole;

pub use archive::unpack;
pub use links::link;
pub use refused::Refused;
pub use whole::unpack_as;

/// How an archive is to be unpacked.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub bounds: Bounds,
    /// How many leading folders of each path are left out, as `tar --strip-components` does.
    pub strip: usize,
    pub links: Links,
}

/// What an archive may come to.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Files, folders and links; also those folders that are only named in paths.
    pub entries: usize,
    /// All of it, decompressed, with the archive's own headers.
    pub bytes: u64,
    /// One file of it.
    pub file_bytes: u64,
}

/// What becomes of symbolic links in an archive. Hard links, devices and all else are always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    Refuse,
    /// Made where they lead to something inside the folder, after everything else, so that nothing is written through them.
    Inside,
}

/// What came out of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub files: usize,
    pub bytes: u64,
}
