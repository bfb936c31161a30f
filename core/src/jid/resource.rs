//! Resources are prepared: by resourceprep (RFC 6122 appendix B) what that accepts, so that peers and what is stored
//! agree on it, and by the profile OpaqueString of PRECIS (RFC 7622 section 3.4, RFC 8265 section 4.2) what it does not,
//! above all what is in Unicode since 3.2.
//!
//! `precis-core` brings the rules and the tables that IANA keeps, which are those of Unicode 6.3. What came later, as most
//! emoji, has the value that the rules give to its general category (RFC 8264 section 8).

use std::borrow::Cow;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};
use precis_core::{DerivedPropertyValue, FreeformClass, StringClass};
use stringprep::resourceprep;
use unicode_normalization::UnicodeNormalization;

use super::prepare::{measured, measured_when_decomposed, stable};
use super::{JidError, JidPart};
use crate::limits::JID_CONTEXT_CHARACTERS_MAX;

/// Prepares what stands behind the `/`.
pub(super) fn prepare(text: &str) -> Result<Cow<'_, str>, JidError> {
    measured(text, JidPart::Resource)?;
    if text.is_ascii() {
        return match text.bytes().any(|byte| byte.is_ascii_control()) {
            true => Err(JidError::NotAllowed(JidPart::Resource)),
            false => Ok(Cow::Borrowed(text)),
        };
    }
    measured_when_decomposed(text, JidPart::Resource)?;
    stable(text, JidPart::Resource, |text| match resourceprep(text) {
        Ok(prepared) => Ok(prepared.into_owned()),
        Err(_) => opaque_string(text),
    })
}

/// RFC 8265 section 4.2.2: only what the class allows, each space a simple one, composed.
fn opaque_string(text: &str) -> Result<String, JidError> {
    if !is_freeform(text) {
        return Err(JidError::NotAllowed(JidPart::Resource));
    }
    let categories = CodePointMapData::<GeneralCategory>::new();
    let is_space = |character| categories.get(character) == GeneralCategory::SpaceSeparator;
    Ok(text.chars().map(|character| if is_space(character) { ' ' } else { character }).nfc().collect())
}

fn is_freeform(text: &str) -> bool {
    let class = Freeform::default();
    let mut of_context = 0;
    for character in text.chars() {
        match class.get_value_from_char(character) {
            DerivedPropertyValue::PValid | DerivedPropertyValue::SpecClassPval => {}
            DerivedPropertyValue::ContextJ | DerivedPropertyValue::ContextO => of_context += 1,
            DerivedPropertyValue::SpecClassDis
            | DerivedPropertyValue::Disallowed
            | DerivedPropertyValue::Unassigned => return false,
        }
    }
    // The rules look through the whole text for each of these.
    of_context == 0 || (of_context <= JID_CONTEXT_CHARACTERS_MAX && class.allows(text).is_ok())
}

/// The class FreeformClass (RFC 8264 section 4.3) in the newest Unicode.
#[derive(Default)]
struct Freeform(FreeformClass);

impl StringClass for Freeform {
    fn get_value_from_char(&self, character: char) -> DerivedPropertyValue {
        let known = self.0.get_value_from_char(character);
        if known == DerivedPropertyValue::Unassigned { value_of_newer(character) } else { known }
    }

    fn get_value_from_codepoint(&self, code_point: u32) -> DerivedPropertyValue {
        char::from_u32(code_point).map_or(DerivedPropertyValue::Disallowed, |it| self.get_value_from_char(it))
    }
}

/// The value of a character that Unicode 6.3 did not have. None of them is a join control or an old Hangul letter, or has
/// a rule of its own.
fn value_of_newer(character: char) -> DerivedPropertyValue {
    const VISIBLE: GeneralCategoryGroup = GeneralCategoryGroup::Letter
        .union(GeneralCategoryGroup::Mark)
        .union(GeneralCategoryGroup::Number)
        .union(GeneralCategoryGroup::Punctuation)
        .union(GeneralCategoryGroup::Symbol);
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    if category == GeneralCategory::Unassigned {
        DerivedPropertyValue::Unassigned
    } else if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character) || !VISIBLE.contains(category) {
        DerivedPropertyValue::Disallowed
    } else {
        DerivedPropertyValue::SpecClassPval
    }
}
