//! Signed versions: publishers sign the digest of a component with ed25519, and an organization may take no version that
//! none of its publishers signed. The host holds public keys only.

mod check;
pub mod http;
mod keys;
mod policy;
mod store;

use crate::id;
use crate::kit::Code;

pub use check::{HEADER, message};
pub(super) use check::{Signed, unsigned_is_taken};
pub use keys::{NewPublisher, Publisher};
pub use policy::Policy;

pub const SIGNATURE_REQUIRED: Code = Code::new(
    "signature_required",
    422,
    "The organization takes signed versions only",
);
pub const SIGNATURE_REFUSED: Code = Code::new(
    "signature_refused",
    422,
    "No publisher of the organization made the signature",
);

pub const TOO_MANY_PUBLISHERS: Code = Code::new(
    "too_many_publishers",
    409,
    "The organization has as many publishers' keys as it may have",
);

id!(PublisherId, "pub_", "A publisher's key.");
