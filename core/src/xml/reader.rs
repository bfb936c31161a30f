//! A stream of XML, read as it comes.

use super::assembly::Assembly;
use super::characters::{is_whitespace, trim_end};
use super::declaration::{Beginning, beginning};
use super::element::Element;
use super::header::StreamHeader;
use super::scan::{PieceKind, Scan};
use super::scope::Span;
use super::tag::{RawAttributes, StartTag};
use super::{XmlError, XmlLimits};

/// What a stream says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::large_enum_variant, reason = "elements are what comes, and they are handed on at once")]
pub enum StreamEvent {
    /// The stream was opened.
    Open(StreamHeader),
    /// A top-level element: a stanza, or what belongs to the stream.
    Element(Element),
    /// The stream was closed. What follows is ignored.
    Close,
}

/// Reads one stream: bytes in, events out.
///
/// Bytes may be cut anywhere. After an error nothing more is read, and every poll gives that error again.
#[derive(Debug)]
pub struct StreamReader {
    limits: XmlLimits,
    state: State,
    /// What was fed; the bytes before `position` are read already.
    buffer: Vec<u8>,
    position: usize,
    scan: Scan,
    /// Bytes read of the top-level element that is open.
    element_bytes: usize,
    assembly: Assembly,
    /// The name of the root as written; in the text of the assembly's scope.
    root: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Before the first byte of a stream that follows another one, of which white space may be left.
    Restart,
    /// Before the first byte.
    Start,
    /// Before the root's start tag.
    Prolog,
    /// Inside the root.
    Open,
    /// The root was an empty-element tag, whose end is not reported yet.
    Ending,
    /// Behind the root.
    Closed,
    Failed(XmlError),
}

/// Memory that a reader may keep between elements for the next one.
const SPARE_BYTES_MAX: usize = 1024;

impl StreamReader {
    /// A reader at the beginning of a stream.
    pub fn new(limits: XmlLimits) -> StreamReader {
        StreamReader {
            limits,
            state: State::Start,
            buffer: Vec::new(),
            position: 0,
            scan: Scan::default(),
            element_bytes: 0,
            assembly: Assembly::new(""),
            root: Span::default(),
        }
    }

    /// Changes the bounds from the next element on.
    pub fn set_limits(&mut self, limits: XmlLimits) {
        self.limits = limits;
    }

    /// Takes bytes in. They are kept until [`poll`](StreamReader::poll) has read them, so the caller bounds how many it
    /// feeds between two rounds of polls.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Closed | State::Failed(_)) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next event, or nothing if more bytes have to come first.
    ///
    /// # Errors
    ///
    /// What the stream is to be closed with.
    pub fn poll(&mut self) -> Result<Option<StreamEvent>, XmlError> {
        let polled = self.advance();
        match polled {
            Ok(Some(_)) => {}
            Ok(None) => self.tidy(),
            Err(error) => {
                self.state = State::Failed(error);
                self.buffer = Vec::new();
                self.position = 0;
                self.assembly = Assembly::new("");
            }
        }
        polled
    }

    /// Begins anew with the next byte that is not read: a new stream on the same connection (RFC 6120 section 4.3.3).
    /// White space before it is nothing: some clients end each element with a line feed, also the last of a stream.
    pub fn restart(&mut self) {
        let unread = self.take_remaining();
        *self = StreamReader { buffer: unread, state: State::Restart, ..StreamReader::new(self.limits) };
    }

    /// Takes out what was fed and not read.
    pub fn take_remaining(&mut self) -> Vec<u8> {
        self.scan = Scan::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.drain(..std::mem::take(&mut self.position));
        buffer
    }

    /// Whether nothing is half read: no byte waits and no element is open.
    pub fn is_idle(&self) -> bool {
        self.position == self.buffer.len() && self.assembly.is_idle()
    }

    /// Gives back the memory that is kept for the next element, unless one is half read. Without this a reader keeps
    /// about 2 KiB at most.
    pub fn shrink(&mut self) {
        if self.is_idle() {
            self.buffer = Vec::new();
            self.position = 0;
            self.assembly.shrink();
        }
    }

    fn advance(&mut self) -> Result<Option<StreamEvent>, XmlError> {
        loop {
            match self.state {
                State::Failed(error) => return Err(error),
                State::Closed => {
                    self.position = self.buffer.len();
                    return Ok(None);
                }
                State::Ending => {
                    self.state = State::Closed;
                    return Ok(Some(StreamEvent::Close));
                }
                State::Restart | State::Start | State::Prolog | State::Open => {}
            }
            if self.assembly.is_idle() && !self.begin_markup()? {
                return Ok(None);
            }
            match self.read_piece()? {
                Progress::None => return Ok(None),
                Progress::Piece => {}
                Progress::Header(header) => return Ok(Some(StreamEvent::Open(*header))),
                Progress::Close => return Ok(Some(StreamEvent::Close)),
            }
            if let Some(element) = self.assembly.take() {
                self.element_bytes = 0;
                return Ok(Some(StreamEvent::Element(element)));
            }
        }
    }

    /// Goes to the next markup between elements. Whether there is any.
    fn begin_markup(&mut self) -> Result<bool, XmlError> {
        if self.state == State::Restart && self.skip_white_space() {
            self.state = State::Start;
        }
        if self.state == State::Restart {
            return Ok(false);
        }
        if self.state == State::Start {
            let rest = &self.buffer[self.position..];
            if rest.is_empty() {
                return Ok(false);
            }
            match beginning(rest)? {
                Beginning::Declaration(length) => self.position += length,
                Beginning::Other => {}
                Beginning::Unknown => return Ok(false),
            }
            self.state = State::Prolog;
        }
        self.skip_white_space();
        match &self.buffer[self.position..] {
            [] => Ok(false),
            [b'<', b'!', ..] => Err(XmlError::RestrictedXml("a comment or a document type")),
            [b'<', ..] => Ok(true),
            [byte, ..] if self.state == State::Open && byte.is_ascii_graphic() => {
                Err(XmlError::BadFormat("text between stanzas"))
            }
            [..] => Err(XmlError::NotWellFormed("not XML")),
        }
    }

    /// Goes to the next byte that is not white space. Whether there is one.
    fn skip_white_space(&mut self) -> bool {
        let rest = &self.buffer[self.position..];
        self.position += rest.iter().position(|byte| !is_whitespace(*byte)).unwrap_or(rest.len());
        self.position < self.buffer.len()
    }

    /// Reads one piece, if it is whole.
    fn read_piece(&mut self) -> Result<Progress, XmlError> {
        let StreamReader { buffer, scan, assembly, limits, .. } = self;
        let rest = &buffer[self.position..];
        let allowed = limits.element_bytes_max.saturating_sub(self.element_bytes).min(rest.len());
        let Some((piece, length)) = scan.piece(&rest[..allowed])? else {
            return match allowed < rest.len() {
                true => Err(XmlError::PolicyViolation("an element is too large")),
                false => Ok(Progress::None),
            };
        };
        self.position += length;
        self.element_bytes += length;
        match (assembly.is_idle(), self.state, piece.kind) {
            (true, State::Prolog, PieceKind::Start | PieceKind::Empty) => {
                let scope = assembly.scope_mut();
                let mut attributes = RawAttributes::new();
                let tag = StartTag::read(piece.inside, &mut attributes, scope, limits)?;
                let header = StreamHeader::read(&tag, &attributes, scope)?;
                self.root = scope.keep(tag.written);
                scope.shrink();
                self.state = if piece.kind == PieceKind::Empty { State::Ending } else { State::Open };
                self.element_bytes = 0;
                Ok(Progress::Header(Box::new(header)))
            }
            (true, State::Open, PieceKind::End) => {
                if trim_end(piece.inside) != assembly.scope_mut().text(self.root) {
                    return Err(XmlError::NotWellFormed("an end tag without its start tag"));
                }
                self.state = State::Closed;
                Ok(Progress::Close)
            }
            _ => assembly.handle(piece, limits).map(|()| Progress::Piece),
        }
    }

    /// Forgets what was read, and memory that a long element needed.
    fn tidy(&mut self) {
        if self.position == self.buffer.len() {
            self.buffer.clear();
            if self.buffer.capacity() > SPARE_BYTES_MAX {
                self.buffer = Vec::new();
            }
        } else {
            self.buffer.drain(..self.position);
        }
        self.position = 0;
        if self.assembly.is_idle() && self.assembly.spare() > SPARE_BYTES_MAX {
            self.assembly.shrink();
        }
    }
}

/// What reading one piece came to.
enum Progress {
    /// The piece is not whole yet.
    None,
    /// It is a part of an element, perhaps its end.
    Piece,
    /// It was the start of the stream.
    Header(Box<StreamHeader>),
    /// It was the end of the stream.
    Close,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

    fn kept(reader: &StreamReader) -> usize {
        reader.buffer.capacity() + reader.assembly.spare()
    }

    /// A node holds a reader for each connection, and most of them wait.
    #[test]
    fn a_reader_keeps_little_between_elements() {
        let mut reader = StreamReader::new(XmlLimits::AUTHENTICATED);
        reader.feed(OPEN.as_bytes());
        while let Ok(Some(_)) = reader.poll() {}
        assert!(kept(&reader) < 512, "{} bytes after the header", kept(&reader));

        for body in [100, 200_000, 100] {
            reader.feed(format!("<message><body>{}</body></message>", "a".repeat(body)).as_bytes());
            while let Ok(Some(_)) = reader.poll() {}
            assert!(kept(&reader) <= 2 * SPARE_BYTES_MAX, "{} bytes after a body of {body}", kept(&reader));
        }

        reader.shrink();
        assert!(kept(&reader) < 256, "{} bytes when it is told to", kept(&reader));
    }

    #[test]
    fn a_reader_that_failed_keeps_nothing_more() {
        let mut reader = StreamReader::new(XmlLimits::BEFORE_AUTHENTICATION);
        reader.feed(format!("{OPEN}<message>{}", "a".repeat(100_000)).as_bytes());
        while let Ok(Some(_)) = reader.poll() {}
        reader.feed(&[b'a'; 100_000]);

        assert!(reader.poll().is_err());
        assert!(kept(&reader) < 512, "{} bytes", kept(&reader));
    }
}
