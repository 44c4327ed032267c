//! XML, by the names of elements in whatever namespace.

use keda_core::sample::SourceError;
use roxmltree::{Document, Node};

/// The document of a body, without the mark that some put before it; `what` begins the message.
///
/// # Errors
/// [`SourceError::malformed`] for what is no XML.
pub fn document<'input>(body: &'input str, what: &str) -> Result<Document<'input>, SourceError> {
    Document::parse(body.trim_start_matches('\u{feff}')).map_err(|error| {
        let at = error.pos();
        SourceError::malformed(format!("{what} is not XML (line {}, column {})", at.row, at.col))
    })
}

/// Whether an element has this name.
pub fn is_named(element: &Node<'_, '_>, name: &str) -> bool {
    element.tag_name().name() == name
}

/// The first child of an element with this name.
pub fn child<'a, 'input>(element: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    element.children().find(|node| is_named(node, name))
}

/// The first element with this name at or below another.
pub fn below<'a, 'input>(element: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    element.descendants().find(|node| is_named(node, name))
}
