//! What wasmtime generates from `wit/`: the only host code that does. Nothing here is written by hand.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::str_to_string,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_futures,
    unused_qualifications,
    reason = "generated code is not ours to style"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "agent",
    imports: { default: async | trappable },
    exports: { default: async },
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});

/// What the world of guardrail components is made of.
pub mod guardrail {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "guardrail",
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [PartialEq],
    });
}

/// What the world of tool providers is made of.
pub mod provider {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "tool-provider",
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [PartialEq],
    });
}
