//! A start tag, taken apart.

use smallvec::SmallVec;

use super::characters::{QualifiedName, is_whitespace, qualified_name, trim_end, trim_start};
use super::scope::{Mark, Scope, Span};
use super::text::{Decoded, Place, read};
use super::{XmlError, XmlLimits};

/// One attribute that is no namespace declaration.
pub(super) struct RawAttribute<'a> {
    pub(super) name: QualifiedName<'a>,
    /// In the text of the scope; empty means none, which is what an attribute without prefix has.
    pub(super) namespace: Span,
    /// As it stands in the tag: references are not resolved.
    pub(super) value: &'a str,
}

/// A start tag whose namespace declarations were entered into the scope.
pub(super) struct StartTag<'a> {
    /// The name as written, prefix and all: the end tag must have the same.
    pub(super) written: &'a str,
    pub(super) name: QualifiedName<'a>,
    /// The namespace of the element, in the text of the scope.
    pub(super) namespace: Span,
}

/// The attributes of a start tag, no two with the same name and namespace.
pub(super) type RawAttributes<'a> = SmallVec<[RawAttribute<'a>; 8]>;

impl<'a> StartTag<'a> {
    /// Takes apart what stands between `<` and `>` (or `/>`), and declares its namespaces in `scope`, where nothing of
    /// the element is kept yet. `attributes` has to be empty.
    pub(super) fn read(
        tag: &'a str,
        attributes: &mut RawAttributes<'a>,
        scope: &mut Scope,
        limits: &XmlLimits,
    ) -> Result<StartTag<'a>, XmlError> {
        let name_end = tag.bytes().position(is_whitespace).unwrap_or(tag.len());
        let (written, mut rest) = tag.split_at(name_end);
        let name = qualified_name(written, limits.name_bytes_max)?;
        let since = scope.mark();
        let mut default_declared = false;
        let mut count = 0;
        while let Some((attribute, after)) = next_attribute(rest)? {
            count += 1;
            if count > limits.attributes_max {
                return Err(XmlError::PolicyViolation("too many attributes"));
            }
            let name = qualified_name(attribute.0, limits.name_bytes_max)?;
            match name {
                QualifiedName { prefix: "", local: "xmlns" } if default_declared => return Err(TWICE),
                QualifiedName { prefix: "", local: "xmlns" } => {
                    default_declared = true;
                    declare("", attribute.1, scope, since, limits)?;
                }
                QualifiedName { prefix: "xmlns", local } => declare(local, attribute.1, scope, since, limits)?,
                QualifiedName { .. } => {
                    attributes.push(RawAttribute { name, namespace: Span::default(), value: attribute.1 });
                }
            }
            rest = after;
        }
        resolve(attributes, scope)?;
        let namespace = scope.of_element(name)?;
        Ok(StartTag { written, name, namespace })
    }
}

const TWICE: XmlError = XmlError::NotWellFormed("an attribute twice");

/// Name and raw value of the first attribute in `rest`, and what follows it.
pub(super) type Split<'a> = ((&'a str, &'a str), &'a str);

pub(super) fn next_attribute(rest: &str) -> Result<Option<Split<'_>>, XmlError> {
    const WRONG: XmlError = XmlError::NotWellFormed("not an attribute");
    let trimmed = trim_start(rest);
    if trimmed.is_empty() {
        return Ok(None);
    }
    if trimmed.len() == rest.len() {
        return Err(XmlError::NotWellFormed("no white space between attributes"));
    }
    let equals = trimmed.bytes().position(|byte| byte == b'=').ok_or(WRONG)?;
    let name = trim_end(&trimmed[..equals]);
    let quoted = trim_start(&trimmed[equals + 1..]);
    let quote = *quoted.as_bytes().first().ok_or(WRONG)?;
    if quote != b'\'' && quote != b'"' {
        return Err(WRONG);
    }
    let inner = &quoted[1..];
    let end = inner.bytes().position(|byte| byte == quote).ok_or(WRONG)?;
    Ok(Some(((name, &inner[..end]), &inner[end + 1..])))
}

fn declare(prefix: &str, raw: &str, scope: &mut Scope, since: Mark, limits: &XmlLimits) -> Result<(), XmlError> {
    let text = scope.text_mut();
    let start = text.len();
    read(raw, Place::Attribute, &mut Decoded(text))?;
    let namespace = Span::between(start, text.len());
    scope.declare(prefix, namespace, since, limits.attributes_max)
}

/// Finds the namespaces of the attributes, and whether two of them mean the same.
fn resolve(attributes: &mut [RawAttribute<'_>], scope: &mut Scope) -> Result<(), XmlError> {
    for index in 0..attributes.len() {
        let name = attributes[index].name;
        if !name.prefix.is_empty() {
            attributes[index].namespace = scope.of_prefix(name.prefix)?;
        }
        let namespace = scope.text(attributes[index].namespace);
        let same =
            |other: &RawAttribute<'_>| other.name.local == name.local && scope.text(other.namespace) == namespace;
        if attributes[..index].iter().any(same) {
            return Err(TWICE);
        }
    }
    Ok(())
}
