//! What the nodes log becomes part of the trace.
//!
//! Only the product's own events count: openraft writes wall-clock times into its.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::{Detail, Trace, host};

/// The span in which a simulated host runs, and its field.
const HOST_SPAN: &str = "node";
const HOST_FIELD: &str = "name";

/// Notes what is logged.
#[derive(Clone, Debug)]
pub struct NodeLog {
    trace: Trace,
    level: Level,
}

/// The name of the host, as kept with its span.
struct Host(Arc<str>);

impl NodeLog {
    /// Notes events of this level and above.
    pub fn new(trace: Trace, level: Level) -> Self {
        NodeLog { trace, level }
    }

    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        let is_host = metadata.is_span() && metadata.name() == HOST_SPAN;
        is_host || (metadata.is_event() && metadata.target().starts_with("cresset") && *metadata.level() <= self.level)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for NodeLog {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.is_wanted(metadata)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut text = Text::default();
        attributes.record(&mut text);
        if let (Some(span), Some(host)) = (context.span(id), text.host) {
            span.extensions_mut().insert(Host(host.into()));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let span = context.span(id);
        if let Some(host) = span.as_ref().and_then(|span| span.extensions().get::<Host>().map(|host| host.0.clone())) {
            host::enter(&host);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if context.span(id).is_some_and(|span| span.extensions().get::<Host>().is_some()) {
            host::leave();
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let span = context.lookup_current();
        let extensions = span.as_ref().map(|span| span.extensions());
        let host = extensions.as_ref().and_then(|extensions| extensions.get::<Host>());
        let place = host.map_or("world", |host| &*host.0);
        let metadata = event.metadata();
        let target = metadata.target().trim_start_matches("cresset_");
        self.trace.note(
            Detail::Log,
            place,
            format_args!("{:<5} {target}: {}{}", metadata.level().as_str(), text.message, text.fields),
        );
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
    host: Option<String>,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        written.expect("writing to a string does not fail");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == HOST_FIELD {
            self.host = Some(value.to_owned());
        }
        self.record_debug(field, &value);
    }
}
