//! Looking at bytes before anything is compiled: is it a component of our world, and does it ask only for what
//! exists? Every refusal names what is wrong. `glance` is called at upload, `inspect` in the compile child and by who
//! built the bytes: whoever parses hostile ones to the end can be made to overflow its stack, and must not be the host.

use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload, Validator, WasmFeatures};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::wasi;

/// Interfaces of the contract a component may import, without their version.
const OURS: [&str; 11] = [
    "bulkhead:agent/checks",
    "bulkhead:agent/clock",
    "bulkhead:agent/knowledge",
    "bulkhead:agent/log",
    "bulkhead:agent/memory",
    "bulkhead:agent/model",
    "bulkhead:agent/output",
    "bulkhead:agent/provided",
    "bulkhead:agent/settings",
    "bulkhead:agent/tools",
    "bulkhead:agent/types",
];
/// What a component that only provides tools may import of them.
const PROVIDERS: [&str; 4] = [
    "bulkhead:agent/clock",
    "bulkhead:agent/log",
    "bulkhead:agent/provided",
    "bulkhead:agent/settings",
];
/// The contract of this host. Components of its line are taken that are written against it or an earlier one: until 1.0
/// the line is the second number, and every release of it only adds.
pub const CONTRACT: &str = "0.1.1";
const LINE: &str = "0.1.";
const RELEASE: u32 = 1;
/// What tools make nests a handful deep; each level costs the validator what is around it.
const NESTING_MAX: usize = 100;
/// What a guardrail component exports instead.
pub const CHECK: &str = "check";
pub const DESCRIBE: &str = "describe";
const EXPORTS: [&str; 2] = [DESCRIBE, "run"];
/// What makes a component a tool provider; one of them asks for all.
pub const LIST_TOOLS: &str = "list-tools";
const PROVIDES: [&str; 3] = [LIST_TOOLS, "call", "dry-run"];

/// How what people send instead of a component begins.
const PACKED: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
];
/// Where a tar archive says what it is.
const TAR: usize = 257;

/// Why bytes are not an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("The body is empty: send the component's bytes.")]
    Empty,
    #[error("The body is not WebAssembly: it does not start with `\\0asm`.")]
    NotWasm,
    #[error("The body is WebAssembly text: assemble it first, the host takes the binary form.")]
    Text,
    #[error("The body is compiled machine code: send the component itself, the host compiles it.")]
    Precompiled,
    #[error("The body is packed with {0}: send the component itself, unpacked.")]
    Packed(&'static str),
    #[error(
        "The body is a core module, not a component: build it for `wasm32-wasip2`, or wrap it with wasm-tools."
    )]
    CoreModule,
    #[error("The component nests components deeper than {NESTING_MAX}.")]
    TooDeep,
    #[error("The component is not valid: {0}.")]
    Invalid(String),
    #[error("The component imports `{0}`, which this host does not offer.")]
    UnknownImport(String),
    #[error("The component imports `{0}`; this host offers {1}.")]
    OtherVersion(String, String),
    #[error(
        "The component does not export `{0}`: it is not of the world `bulkhead:agent/agent@{CONTRACT}`."
    )]
    MissingExport(&'static str),
    #[error(
        "The component exports a part of the world `bulkhead:agent/tool-provider@{CONTRACT}` and not `{0}`."
    )]
    HalfProvider(&'static str),
    #[error(
        "The component imports `{0}`, which a tool provider is not offered: it has `log`, `clock` and `settings`."
    )]
    NotForProviders(String),
    #[error("The component does not fit the world `bulkhead:agent/agent@{CONTRACT}`: {0}.")]
    OtherWorld(String),
}

/// What the first bytes say, without parsing.
pub fn glance(bytes: &[u8]) -> Result<(), Refused> {
    let packed = PACKED.iter().find(|(magic, _)| bytes.starts_with(magic));
    if let Some((_, with)) = packed {
        return Err(Refused::Packed(with));
    }
    if bytes
        .get(TAR..)
        .is_some_and(|rest| rest.starts_with(b"ustar"))
    {
        return Err(Refused::Packed("tar"));
    }
    match bytes {
        [] => Err(Refused::Empty),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(Refused::CoreModule),
        [0, b'a', b's', b'm', ..] => Ok(()),
        [0x7f, b'E', b'L', b'F', ..] => Err(Refused::Precompiled),
        _ if bytes.trim_ascii_start().starts_with(b"(") => Err(Refused::Text),
        _ => Err(Refused::NotWasm),
    }
}

/// Checks bytes to the end, and answers what they import, sorted.
pub fn inspect(bytes: &[u8]) -> Result<Vec<String>, Refused> {
    glance(bytes)?;
    let mut validator = Validator::new_with_features(features());
    let mut imports = Vec::new();
    let mut exports = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::Version { encoding, .. } => {
                if depth == 0 && *encoding == Encoding::Module {
                    return Err(Refused::CoreModule);
                }
                depth += 1;
                if depth > NESTING_MAX {
                    return Err(Refused::TooDeep);
                }
            }
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section.clone() {
                    let import = import.map_err(invalid)?;
                    // Types of the contract are imported one by one; they ask for nothing.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section.clone() {
                    exports.push(export.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        validator.payload(&payload).map_err(invalid)?;
    }
    imports.iter().try_for_each(|import| check_import(import))?;
    imports.sort_unstable();
    // A guardrail component is of another world.
    if exports.iter().any(|export| export == CHECK) {
        return Ok(imports);
    }
    let has = |name: &str| exports.iter().any(|export| export == name);
    if PROVIDES.iter().any(|name| has(name)) {
        if let Some(missing) = PROVIDES.iter().find(|name| !has(name)) {
            return Err(Refused::HalfProvider(missing));
        }
        if !EXPORTS.iter().any(|name| has(name)) {
            return only_provides(imports);
        }
    }
    let missing = EXPORTS.iter().find(|name| !has(name));
    missing.map_or(Ok(imports), |name| Err(Refused::MissingExport(name)))
}

fn only_provides(imports: Vec<String>) -> Result<Vec<String>, Refused> {
    let is_foreign = |import: &&String| {
        let interface = import.split('@').next().unwrap_or_default();
        OURS.contains(&interface) && !PROVIDERS.contains(&interface)
    };
    match imports.iter().find(is_foreign) {
        Some(name) => Err(Refused::NotForProviders(name.clone())),
        None => Ok(imports),
    }
}

/// Whether a component offers tools to others, as an agent may too.
pub fn provides(component: &Component) -> bool {
    component.get_export_index(None, LIST_TOOLS).is_some()
}

/// Whether a component is an agent.
pub fn is_agent(component: &Component) -> bool {
    EXPORTS
        .iter()
        .all(|name| component.get_export_index(None, name).is_some())
}

/// Whether a component is a guardrail rather than an agent.
pub fn is_guardrail(component: &Component) -> bool {
    component.get_export_index(None, CHECK).is_some()
}

/// The interfaces a component imports, as it names them, sorted. Types of the contract are imported one by one; they
/// ask for nothing.
pub fn imports(component: &Component) -> Vec<String> {
    let kind = component.component_type();
    let mut names: Vec<String> = kind
        .imports(component.engine())
        .filter(|(_, import)| !matches!(import.ty, ComponentItem::Type(_)))
        .map(|(name, _)| name.to_owned())
        .collect();
    names.sort_unstable();
    names
}

/// A name such as `wasi:io/streams@0.2.6`: the interface must be offered, its version must be one we answer to.
fn check_import(import: &str) -> Result<(), Refused> {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    if OURS.contains(&interface) {
        if !is_ours(version) {
            return Err(Refused::OtherVersion(
                import.to_owned(),
                format!("version {CONTRACT} and takes earlier ones from {LINE}0 on"),
            ));
        }
        return Ok(());
    }
    if wasi::INTERFACES.contains(&interface) {
        if !version.starts_with("0.2.") {
            return Err(Refused::OtherVersion(
                import.to_owned(),
                "WASI 0.2".to_owned(),
            ));
        }
        return Ok(());
    }
    Err(Refused::UnknownImport(import.to_owned()))
}

/// Whether a component written against this version finds here what it imports.
fn is_ours(version: &str) -> bool {
    let release = version.strip_prefix(LINE);
    let release = release.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let release: Option<u32> = release.and_then(|digits| digits.parse().ok());
    release.is_some_and(|release| release <= RELEASE)
}

fn features() -> WasmFeatures {
    let off = WasmFeatures::GC
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::THREADS
        | WasmFeatures::SHARED_EVERYTHING_THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::STACK_SWITCHING
        | WasmFeatures::CUSTOM_PAGE_SIZES
        | WasmFeatures::CM_ASYNC;
    (WasmFeatures::default() | WasmFeatures::COMPONENT_MODEL).difference(off)
}

fn invalid(error: wasmparser::BinaryReaderError) -> Refused {
    Refused::Invalid(format!("{} (at byte {})", error.message(), error.offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_a_release_of_its_line() {
        assert_eq!(CONTRACT, format!("{LINE}{RELEASE}"));
    }

    #[test]
    fn components_of_the_line_are_taken_that_are_not_newer() {
        let cases = [
            ("0.1.0", true),
            ("0.1.1", true),
            ("0.1.2", false),
            ("0.1.00", true),
            ("0.1.", false),
            ("0.1.+1", false),
            ("0.1.1-rc", false),
            ("0.1.4294967296", false),
            ("0.1", false),
            ("0.2.0", false),
            ("1.1.0", false),
            ("", false),
        ];
        for (version, taken) in cases {
            assert_eq!(is_ours(version), taken, "{version:?}");
        }
    }
}
