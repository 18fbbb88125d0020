//! Reading ahead in bytes that may not be complete. A recogniser that needs a byte which is not there yet says so, and
//! is asked again when there are more: so it decides the same however the bytes come.

/// More bytes are needed to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct More;

/// The bytes from a place on.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'a> {
    bytes: &'a [u8],
    /// Nothing follows them.
    end: bool,
}

/// What stands behind the end: no recogniser takes it for anything.
const NOTHING: u8 = 0;

impl<'a> Ahead<'a> {
    pub(super) fn new(bytes: &'a [u8], end: bool) -> Self {
        Self { bytes, end }
    }

    pub(super) fn at(&self, index: usize) -> Result<u8, More> {
        match self.bytes.get(index) {
            Some(byte) => Ok(*byte),
            None if self.end => Ok(NOTHING),
            None => Err(More),
        }
    }

    /// The first `len` bytes; those that are there where it ends earlier.
    pub(super) fn first(&self, len: usize) -> &'a [u8] {
        &self.bytes[..len.min(self.bytes.len())]
    }

    pub(super) fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        &self.bytes[from.min(self.bytes.len())..to.min(self.bytes.len())]
    }

    /// Whether `word` stands at `from`, in whichever case where `folded`.
    pub(super) fn has(&self, from: usize, word: &[u8], folded: bool) -> Result<bool, More> {
        for (n, wanted) in word.iter().enumerate() {
            let byte = self.at(from + n)?;
            let same = byte == *wanted || (folded && byte.eq_ignore_ascii_case(wanted));
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where the bytes of a class end, from `from` on, at most `most` of them.
    pub(super) fn run(
        &self,
        from: usize,
        most: usize,
        class: fn(u8) -> bool,
    ) -> Result<usize, More> {
        let mut at = from;
        while at < from + most && class(self.at(at)?) {
            at += 1;
        }
        Ok(at)
    }
}

pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// What `authorization` headers carry.
pub(super) fn is_token68(byte: u8) -> bool {
    is_token(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

/// A word or number cannot begin behind one of these.
pub(super) fn is_word(before: Option<u8>) -> bool {
    before.is_some_and(|byte| byte.is_ascii_alphanumeric())
}
