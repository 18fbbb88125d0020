//! Every row of the corpus, by what it attacks.

mod around;
mod calls;
mod computing;
mod judges;
mod lies;
mod memory;
mod speech;

pub(super) use self::around::at_its_start;
use super::row::Row;

pub(super) fn rows() -> Vec<Row> {
    [
        computing::rows(),
        memory::rows(),
        calls::rows(),
        lies::rows(),
        around::rows(),
        speech::rows(),
        judges::rows(),
    ]
    .concat()
}
