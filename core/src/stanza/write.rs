//! A stanza becomes bytes for a client.

use super::Stanza;
use crate::jid::Jid;
use crate::xml::write;

impl Stanza {
    /// Writes the stanza as it stands in a stream whose default namespace is `jabber:client`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let name = self.kind.name().as_bytes();
        out.reserve(self.payload.len() + 256);
        out.push(b'<');
        out.extend_from_slice(name);
        write::attribute_if(out, "from", self.from.as_ref().map(Jid::as_str));
        write::attribute_if(out, "to", self.to.as_ref().map(Jid::as_str));
        write::attribute_if(out, "id", self.id.as_deref());
        write::attribute_if(out, "type", self.kind.type_name());
        write::attribute_if(out, "xml:lang", self.language.as_deref());
        if self.payload.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        out.extend_from_slice(&self.payload);
        out.extend_from_slice(b"</");
        out.extend_from_slice(name);
        out.push(b'>');
    }
}
