//! Descriptors for clients that ask by reflection: a `FileDescriptorProto` of each file, and a table of all names.

use std::error::Error;
use std::fmt::Write;

use protox::prost::Message;
use protox::prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

/// `descriptors.rs`: the files without their comments, and a table of all names.
pub(crate) fn source(set: FileDescriptorSet) -> Result<String, Box<dyn Error>> {
    let (mut files, mut services, mut symbols) = (String::new(), Vec::new(), Vec::new());
    let count = set.file.len();
    for (number, mut file) in set.file.into_iter().enumerate() {
        if !file.dependency.is_empty() {
            return Err(format!("`{}` imports others, which its descriptor would need", file.name()).into());
        }
        file.source_code_info = None;
        writeln!(files, "    ({:?}, b\"{}\"),", file.name(), file.encode_to_vec().escape_ascii())?;
        services.extend(services_of(&file));
        symbols.extend(symbols_of(&file).into_iter().map(|symbol| (symbol, number)));
    }
    symbols.sort();
    let mut text = String::from("// Generated from `proto/` by `proto/generate`; do not edit.\n\n");
    write!(text, "/// Names of files, and the files as `FileDescriptorProto`.\n")?;
    write!(text, "pub static FILES: [(&str, &[u8]); {count}] = [\n{files}];\n\n")?;
    write!(text, "/// Full names of services.\npub static SERVICES: [&str; {}] = [\n", services.len())?;
    services.iter().try_for_each(|service| writeln!(text, "    {service:?},"))?;
    write!(text, "];\n\n/// All full names in their order, and the number of the file.\n")?;
    writeln!(text, "pub static SYMBOLS: [(&str, usize); {}] = [", symbols.len())?;
    symbols.iter().try_for_each(|(symbol, number)| writeln!(text, "    ({symbol:?}, {number}),"))?;
    text.push_str("];\n");
    Ok(text)
}

fn services_of(file: &FileDescriptorProto) -> Vec<String> {
    file.service.iter().map(|service| format!("{}.{}", file.package(), service.name())).collect()
}

/// The full names of services, methods, messages, fields, enums and values of `file`.
fn symbols_of(file: &FileDescriptorProto) -> Vec<String> {
    let mut symbols = services_of(file);
    for service in &file.service {
        let name = |method: &str| format!("{}.{}.{method}", file.package(), service.name());
        symbols.extend(service.method.iter().map(|method| name(method.name())));
    }
    file.message_type.iter().for_each(|message| add_message(file.package(), message, &mut symbols));
    file.enum_type.iter().for_each(|one| add_enum(file.package(), one, &mut symbols));
    symbols
}

fn add_message(scope: &str, message: &DescriptorProto, symbols: &mut Vec<String>) {
    let scope = format!("{scope}.{}", message.name());
    symbols.extend(message.field.iter().map(|field| format!("{scope}.{}", field.name())));
    symbols.extend(message.oneof_decl.iter().map(|oneof| format!("{scope}.{}", oneof.name())));
    message.nested_type.iter().for_each(|nested| add_message(&scope, nested, symbols));
    message.enum_type.iter().for_each(|nested| add_enum(&scope, nested, symbols));
    symbols.push(scope);
}

/// Values are named in the scope of their enum, not in the enum.
fn add_enum(scope: &str, one: &EnumDescriptorProto, symbols: &mut Vec<String>) {
    symbols.push(format!("{scope}.{}", one.name()));
    symbols.extend(one.value.iter().map(|value| format!("{scope}.{}", value.name())));
}
