//! What the host logs while tests run. An error nobody announced fails the test that ends next: a host under test
//! does not fail quietly. I14: no panic is ever announced.

use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static EXPECTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Everything the host logs, of every level, while somebody asks for it.
static KEPT: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Keeps from now on what is logged, by whichever test.
pub fn keep() {
    *KEPT.lock().expect("plain list") = Some(Vec::new());
}

/// What was logged since.
pub fn kept() -> String {
    let mut kept = KEPT.lock().expect("plain list");
    kept.take().unwrap_or_default().join("\n")
}

/// Starts watching, once for the process.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = Registry::default().with(Errors);
        tracing::subscriber::set_global_default(subscriber).expect("the harness is first");
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let inside = panic
                .location()
                .is_some_and(|place| place.file().contains("host/src"));
            if inside {
                ERRORS
                    .lock()
                    .expect("plain list")
                    .push(format!("panic: {panic}"));
            }
            before(panic);
        }));
    });
}

/// Errors with this text are part of what a test does.
pub fn expect_errors(text: &str) {
    EXPECTED.lock().expect("plain list").push(text.to_owned());
}

/// Fails on errors that nobody announced.
pub fn assert_no_unexpected_errors() {
    let expected = EXPECTED.lock().expect("plain list");
    let mut errors = ERRORS.lock().expect("plain list");
    errors.retain(|error| !expected.iter().any(|text| error.contains(text)));
    let found: Vec<String> = errors.drain(..).collect();
    drop((errors, expected));
    assert!(found.is_empty(), "the host logged errors: {found:#?}");
}

struct Errors;

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let is_ours = event.metadata().target().starts_with("bulkhead");
        if is_ours && let Some(kept) = &mut *KEPT.lock().expect("plain list") {
            let mut line = format!("{}:", event.metadata().target());
            event.record(&mut Text(&mut line));
            kept.push(line);
        }
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let mut text = format!("{}:", event.metadata().target());
        event.record(&mut Text(&mut text));
        if is_ours {
            ERRORS.lock().expect("plain list").push(text);
        }
    }
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}
