//! A YAML document with the lines and columns of its nodes, from 0.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Value, json};

use super::super::edit::EditError;

/// The deepest document that is read.
const DEPTH: usize = 128;

/// A node. Lines and columns are counted in characters.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) end_column: usize,
    /// The last line of a scalar or of a collection in brackets.
    end_line: usize,
    /// Says whether a collection is in brackets.
    pub(super) is_flow: bool,
    tag: Option<String>,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    Scalar { text: String, is_plain: bool },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
    Alias(usize),
}

/// Returns the only document; none if there is none.
pub(super) fn read(text: &str) -> Result<Option<Node>, EditError> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        characters: text.chars().collect(),
    };
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => break,
            (Event::DocumentStart(_), _) if root.is_some() => {
                return Err(EditError::new("it has several documents"));
            }
            (
                event @ (Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)),
                span,
            ) => {
                root = Some(reader.node(event, span, DEPTH)?);
            }
            _ => {}
        }
    }
    Ok(root.filter(|root| !(root.value().is_null() && root.is_plain_scalar())))
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    characters: Vec<char>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), EditError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(EditError::new("it ends too early")),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, EditError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(EditError::new("it is nested too deeply"));
        };
        let first = self.characters.get(span.start.index());
        let mut node = Node {
            kind: NodeKind::Alias(0),
            line: span.start.line().saturating_sub(1),
            column: span.start.col(),
            end_column: span.end.col(),
            end_line: span.end.line().saturating_sub(1),
            is_flow: matches!(first, Some('{' | '[')),
            tag: None,
        };
        match event {
            Event::Scalar(text, style, _, tag) => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                // The end of a block scalar is where the next token begins.
                if is_block && span.end.col() == 0 {
                    node.end_line = node.end_line.saturating_sub(1).max(node.line);
                }
                node.tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
                node.kind = NodeKind::Scalar {
                    text: text.into_owned(),
                    is_plain: style == ScalarStyle::Plain,
                };
            }
            Event::SequenceStart(_, tag) => {
                node.tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
                node.kind = self.items(&mut node, depth)?;
            }
            Event::MappingStart(_, tag) => {
                node.tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
                node.kind = self.members(&mut node, depth)?;
            }
            Event::Alias(number) => node.kind = NodeKind::Alias(number),
            _ => return Err(EditError::new("it is not a YAML document")),
        }
        Ok(node)
    }

    fn items(&mut self, node: &mut Node, depth: usize) -> Result<NodeKind, EditError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => {
                    node.end_at(span);
                    return Ok(NodeKind::Sequence(items));
                }
                (event, span) => items.push(self.node(event, span, depth)?),
            }
        }
    }

    fn members(&mut self, node: &mut Node, depth: usize) -> Result<NodeKind, EditError> {
        let mut members: Vec<(Node, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, span) => {
                    node.end_at(span);
                    return Ok(NodeKind::Mapping(members));
                }
                (event, span) => self.node(event, span, depth)?,
            };
            if let Some(name) = key.text()
                && members.iter().any(|(other, _)| other.text() == Some(name))
            {
                let reason = format!("it has `{name}` twice,");
                return Err(EditError::at(reason, key.line + 1, key.column + 1));
            }
            let (event, span) = self.next()?;
            members.push((key, self.node(event, span, depth)?));
        }
    }
}

impl Node {
    /// Returns the last line that has a part of the node.
    pub(super) fn last_line(&self) -> usize {
        match &self.kind {
            NodeKind::Mapping(members) if !self.is_flow => {
                let last = members
                    .last()
                    .map(|(key, value)| value.last_line().max(key.line));
                last.unwrap_or(self.line)
            }
            NodeKind::Sequence(items) if !self.is_flow => {
                items.last().map_or(self.line, Self::last_line)
            }
            _ => self.end_line,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns the value as JSON. A tag or an alias is an object with one odd key, to compare it.
    pub(super) fn value(&self) -> Value {
        let value = match &self.kind {
            NodeKind::Scalar { text, is_plain } if *is_plain => plain(text),
            NodeKind::Scalar { text, .. } => text.as_str().into(),
            NodeKind::Sequence(items) => items.iter().map(Self::value).collect(),
            NodeKind::Mapping(members) => {
                let members = members.iter().map(|(key, value)| {
                    let key = key
                        .text()
                        .map_or_else(|| key.value().to_string(), str::to_owned);
                    (key, value.value())
                });
                Value::Object(members.collect::<Map<_, _>>())
            }
            NodeKind::Alias(number) => json!({ "\u{0}alias": number }),
        };
        match &self.tag {
            Some(tag) => json!({ "\u{0}tag": tag, "value": value }),
            None => value,
        }
    }

    fn is_plain_scalar(&self) -> bool {
        matches!(self.kind, NodeKind::Scalar { is_plain: true, .. }) && self.tag.is_none()
    }

    fn end_at(&mut self, span: Span) {
        if self.is_flow {
            self.end_line = span.end.line().saturating_sub(1);
        }
    }
}

/// Returns the value of a plain scalar (YAML 1.2.2 §10.3.2).
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => {
            let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
            let number = text.parse::<i64>().map(Value::from).ok();
            let number = number.or_else(|| text.parse::<f64>().map(Value::from).ok());
            number
                .filter(|number| is_number && !number.is_null())
                .unwrap_or_else(|| text.into())
        }
    }
}

fn broken(error: &ScanError) -> EditError {
    let marker = error.marker();
    EditError::at(
        format!("it is not valid YAML: {}", error.info()),
        marker.line(),
        marker.col() + 1,
    )
}
