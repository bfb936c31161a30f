//! What a function that does nothing would return.

use syn::{GenericArgument, PathArguments, ReturnType, Type, TypePath};

use super::super::Kind;

/// Types of whole numbers.
const NUMBERS: [&str; 12] = ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize"];

/// Each statement with which a function of this type can return at once, and of which kind that is.
pub(super) fn returns(output: &ReturnType) -> Vec<(Kind, &'static str)> {
    let ReturnType::Type(_, output) = output else { return vec![(Kind::EarlyReturn, "return;")] };
    if let Type::Path(path) = &**output {
        return of_path(path);
    }
    let is_unit = matches!(&**output, Type::Tuple(tuple) if tuple.elems.is_empty());
    if is_unit { vec![(Kind::EarlyReturn, "return;")] } else { Vec::new() }
}

fn of_path(path: &TypePath) -> Vec<(Kind, &'static str)> {
    let Some(last) = path.path.segments.last() else { return Vec::new() };
    let name = last.ident.to_string();
    match name.as_str() {
        "bool" => vec![(Kind::Default, "return false;"), (Kind::Default, "return true;")],
        "Option" => vec![(Kind::Default, "return None;")],
        "Vec" => vec![(Kind::Default, "return Vec::new();")],
        "Result" if is_unit(&last.arguments) => vec![(Kind::EarlyReturn, "return Ok(());")],
        number if NUMBERS.contains(&number) => vec![(Kind::Default, "return 0;")],
        _ => Vec::new(),
    }
}

fn is_unit(arguments: &PathArguments) -> bool {
    let PathArguments::AngleBracketed(arguments) = arguments else { return false };
    matches!(arguments.args.first(), Some(GenericArgument::Type(Type::Tuple(tuple))) if tuple.elems.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_that_has_an_empty_value_can_be_returned_at_once() {
        let returned = |signature: &str| {
            let signature: syn::Signature = syn::parse_str(signature).expect("a signature");
            returns(&signature.output).into_iter().map(|(_, statement)| statement).collect::<Vec<_>>()
        };

        assert_eq!(returned("fn f()"), ["return;"]);
        assert_eq!(returned("fn f() -> ()"), ["return;"]);
        assert_eq!(returned("fn f() -> bool"), ["return false;", "return true;"]);
        assert_eq!(returned("fn f() -> Option<Jid>"), ["return None;"]);
        assert_eq!(returned("fn f() -> Vec<u8>"), ["return Vec::new();"]);
        assert_eq!(returned("fn f() -> u64"), ["return 0;"]);
        assert_eq!(returned("fn f() -> anyhow::Result<()>"), ["return Ok(());"]);
        assert_eq!(returned("fn f() -> Result<(), Refusal>"), ["return Ok(());"]);
        assert_eq!(returned("fn f() -> Result<u8, Refusal>"), [""; 0]);
        assert_eq!(returned("fn f() -> Duration"), [""; 0]);
    }
}
