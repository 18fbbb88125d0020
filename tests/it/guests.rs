//! Every guest by name. A guest that no test names is dead code, which does not compile here.
#![deny(dead_code)]

use bulkhead_tests::guests::Guest;

include!(concat!(env!("OUT_DIR"), "/guests.rs"));
