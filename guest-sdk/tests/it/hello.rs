//! The smallest agent stays small, and says hello.

#[expect(unreachable_pub, reason = "the example is a crate of its own")]
#[path = "../../examples/hello.rs"]
mod example;

use bulkhead_sdk::mock::MockHost;

#[test]
fn the_smallest_agent_has_at_most_ten_lines() {
    assert!(include_str!("../../examples/hello.rs").lines().count() <= 10);
}

#[test]
fn the_smallest_agent_greets() {
    let transcript = MockHost::new().run(example::hello, "Ada");
    assert_eq!(transcript.text(), "Hello, Ada!");
    let manifest = example::hello::manifest();
    assert_eq!(
        (manifest.name.as_str(), manifest.description.as_str()),
        ("hello", "Greets.")
    );
    assert_eq!(
        (manifest.model.as_str(), manifest.tools.len()),
        ("default", 0)
    );
}
