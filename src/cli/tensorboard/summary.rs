//! What an event file can say of one step: numbers, texts, and for the tab HPARAMS the beginning and the end of a
//! session, which is one training or one trial with its parameters.
//!
//! Numbers of fields are those of TensorBoard's `summary.proto`, `tensor.proto` and `plugins/hparams/plugin_data.proto`.

use super::message::Message;

/// Everything that is said of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary(Message);

/// Value of a parameter of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Hparam {
    Number(f64),
    Text(String),
    Bool(bool),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Success,
    Failure,
}

/// Kinds of tensors (`types.proto`).
const FLOATS: i64 = 1;
const STRINGS: i64 = 7;

/// Values that are tensors (`DATA_CLASS_TENSOR`).
const CLASS_OF_TENSORS: i64 = 2;

impl Summary {
    /// Nothing so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a point of the curve `tag`. TensorBoard keeps 32 bits of it; what is not finite stays so.
    pub fn scalar(self, tag: &str, value: f64) -> Self {
        self.value(&Message::new().bytes(1, tag).float(2, value as f32))
    }

    /// Adds a text in Markdown.
    pub fn text(self, tag: &str, markdown: &str) -> Self {
        let metadata = Message::new().message(1, &Message::new().bytes(1, "text")).whole(4, CLASS_OF_TENSORS);
        let tensor = Message::new().whole(1, STRINGS).message(2, &Message::new()).bytes(8, markdown);
        self.value(&Message::new().bytes(1, tag).message(9, &metadata).message(8, &tensor))
    }

    /// Says that a session begins now. Sessions of one name are one line of the tab HPARAMS.
    pub fn session_begins<'p>(self, name: &str, params: impl IntoIterator<Item = (&'p str, Hparam)>) -> Self {
        let entry = |(name, value): (&str, Hparam)| Message::new().bytes(1, name).message(2, &value.message());
        let entries = params.into_iter().map(entry);
        let begins = entries.fold(Message::new(), |message, entry| message.message(1, &entry));
        self.of_session("session_start_info", 3, &begins.bytes(4, name).double(5, super::now_s()))
    }

    /// Says that the session ends now.
    pub fn session_ends(self, status: Status) -> Self {
        let status = match status {
            Status::Success => 1,
            Status::Failure => 2,
        };
        self.of_session("session_end_info", 4, &Message::new().whole(1, status).double(2, super::now_s()))
    }

    /// The message.
    pub(super) fn message(&self) -> &Message {
        &self.0
    }

    fn value(self, value: &Message) -> Self {
        Self(self.0.message(1, value))
    }

    /// The plugin keeps what it says in the metadata of an empty tensor.
    fn of_session(self, what: &str, field: u32, content: &Message) -> Self {
        let content = Message::new().message(field, content);
        let plugin = Message::new().bytes(1, "hparams").bytes(2, content.encoded());
        let no_elements = Message::new().message(2, &Message::new().whole(1, 0));
        let tensor = Message::new().whole(1, FLOATS).message(2, &no_elements);
        let metadata = Message::new().message(1, &plugin);
        self.value(&Message::new().bytes(1, format!("_hparams_/{what}")).message(9, &metadata).message(8, &tensor))
    }
}

impl Hparam {
    fn message(&self) -> Message {
        match self {
            Self::Number(number) => Message::new().double(2, *number),
            Self::Text(text) => Message::new().bytes(3, text),
            Self::Bool(is) => Message::new().whole(4, (*is).into()),
        }
    }
}

impl From<f64> for Hparam {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Hparam {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
