//! Builds the tree of a formula: precedence climbing over expr's table of operators.

use super::lexer::{Kind, Token, tokens};

/// Nesting above which a formula is refused.
const MAXIMUM_DEPTH: usize = 100;

/// Operators, members and indexes above which a formula is refused. Each of them makes the tree deeper by one, however
/// flat the formula looks, and whoever walks the tree, down to dropping it, needs stack for its whole depth.
const MAXIMUM_OPERATORS: usize = 400;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Name(String),
    Pointer(String),
    Unary(&'static str, Box<Node>),
    Binary(&'static str, Box<Node>, Box<Node>),
    /// `a < b <= c`: each operand is compared with the one before it.
    Comparison(Box<Node>, Vec<(&'static str, Node)>),
    Condition(Box<Node>, Box<Node>, Box<Node>),
    Let(String, Box<Node>, Box<Node>),
    Sequence(Box<Node>, Box<Node>),
    Array(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Member {
        of: Box<Node>,
        key: Box<Node>,
        optional: bool,
    },
    Slice {
        of: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    Call(String, Vec<Node>),
    Closure(Box<Node>),
}

impl Node {
    /// The nodes directly below.
    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Node::Unary(_, one) | Node::Closure(one) => vec![one],
            Node::Binary(_, one, two) | Node::Let(_, one, two) | Node::Sequence(one, two) => vec![one, two],
            Node::Comparison(first, rest) => {
                std::iter::once(&**first).chain(rest.iter().map(|(_, operand)| operand)).collect()
            }
            Node::Condition(one, two, three) => vec![one, two, three],
            Node::Array(all) | Node::Call(_, all) => all.iter().collect(),
            Node::Map(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).collect(),
            Node::Member { of, key, .. } => vec![of, key],
            Node::Slice { of, from, to } => {
                [Some(of), from.as_ref(), to.as_ref()].into_iter().flatten().map(|node| &**node).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Binary operators: precedence, and whether they bind to the right.
const BINARY: &[(&str, u16, bool)] = &[
    ("|", 0, false),
    ("||", 10, false),
    ("or", 10, false),
    ("&&", 15, false),
    ("and", 15, false),
    ("==", 20, false),
    ("!=", 20, false),
    ("<", 20, false),
    (">", 20, false),
    (">=", 20, false),
    ("<=", 20, false),
    ("in", 20, false),
    ("matches", 20, false),
    ("contains", 20, false),
    ("startsWith", 20, false),
    ("endsWith", 20, false),
    ("..", 25, false),
    ("+", 30, false),
    ("-", 30, false),
    ("*", 60, false),
    ("/", 60, false),
    ("%", 60, false),
    ("**", 100, true),
    ("^", 100, true),
    ("??", 500, false),
];

/// The operators that chain.
const ORDER: &[&str] = &["<", ">", "<=", ">="];

/// Functions whose second argument is a closure.
pub(super) const PREDICATES: &[&str] = &[
    "all",
    "none",
    "any",
    "one",
    "filter",
    "map",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "count",
    "sum",
    "groupBy",
    "sortBy",
    "reduce",
];

/// Parses a formula.
pub(super) fn parse(source: &str) -> Result<Node, String> {
    let mut parser = Parser { tokens: tokens(source)?, position: 0, depth: 0, operators: 0 };
    let node = parser.sequence()?;
    match parser.peek() {
        Kind::End => Ok(node),
        _ => Err(parser.unexpected()),
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    depth: usize,
    operators: usize,
}

impl Parser {
    fn peek(&self) -> &Kind {
        self.tokens.get(self.position).map_or(&Kind::End, |token| &token.kind)
    }

    fn next(&mut self) -> Kind {
        let kind = self.peek().clone();
        self.position += 1;
        kind
    }

    fn is(&self, operator: &str) -> bool {
        match self.peek() {
            Kind::Operator(found) => *found == operator,
            Kind::Word(word) => word == operator,
            _ => false,
        }
    }

    fn take(&mut self, operator: &str) -> bool {
        let found = self.is(operator);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, operator: &str) -> Result<(), String> {
        if self.take(operator) { Ok(()) } else { Err(format!("expected {operator:?}, {}", self.unexpected())) }
    }

    fn unexpected(&self) -> String {
        let at = self.tokens.get(self.position).map_or(0, |token| token.at) + 1;
        let found = match self.peek() {
            Kind::End => return "unexpected end of the formula".to_string(),
            Kind::Integer(number) => number.to_string(),
            Kind::Float(number) => number.to_string(),
            Kind::Text(text) => format!("{text:?}"),
            Kind::Word(word) => word.clone(),
            Kind::Pointer(name) => format!("#{name}"),
            Kind::Operator(operator) => (*operator).to_string(),
        };
        format!("unexpected {found} at {at}")
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > MAXIMUM_DEPTH {
            return Err("the formula is nested too deeply".to_string());
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Counts what makes the tree deeper without any nesting.
    fn grow(&mut self) -> Result<(), String> {
        self.operators += 1;
        if self.operators > MAXIMUM_OPERATORS {
            return Err(format!("the formula has more than {MAXIMUM_OPERATORS} operators"));
        }
        Ok(())
    }

    /// Expressions with semicolons between them; the last one counts.
    fn sequence(&mut self) -> Result<Node, String> {
        self.deeper(|parser| {
            let first = if parser.take("let") { parser.binding()? } else { parser.expression(0)? };
            if parser.take(";") {
                if matches!(parser.peek(), Kind::End) {
                    return Ok(first);
                }
                return Ok(Node::Sequence(Box::new(first), Box::new(parser.sequence()?)));
            }
            Ok(first)
        })
    }

    fn binding(&mut self) -> Result<Node, String> {
        let Kind::Word(name) = self.next() else { return Err("expected a name after let".to_string()) };
        self.expect("=")?;
        let value = self.expression(0)?;
        self.expect(";")?;
        let body = self.sequence()?;
        Ok(Node::Let(name, Box::new(value), Box::new(body)))
    }

    fn expression(&mut self, minimum: u16) -> Result<Node, String> {
        self.deeper(|parser| {
            if minimum == 0 && parser.is("let") {
                parser.position += 1;
                return parser.binding();
            }
            if minimum == 0 && parser.is("if") {
                return parser.if_else();
            }
            let mut left = parser.unary()?;
            loop {
                let negated = parser.is("not");
                parser.position += usize::from(negated);
                let Some((operator, precedence, to_the_right)) = parser.binary_operator().filter(|op| op.1 >= minimum)
                else {
                    if negated {
                        return Err(parser.unexpected());
                    }
                    break;
                };
                parser.position += 1;
                parser.grow()?;
                left = if operator == "|" {
                    parser.pipe(left)?
                } else if ORDER.contains(&operator) {
                    parser.comparison(left, operator, precedence)?
                } else {
                    let right = parser.expression(if to_the_right { precedence } else { precedence + 1 })?;
                    Node::Binary(operator, Box::new(left), Box::new(right))
                };
                if negated {
                    left = Node::Unary("not", Box::new(left));
                }
            }
            if minimum == 0 { parser.condition(left) } else { Ok(left) }
        })
    }

    /// Comparisons chain: `a < b < c` is `a < b && b < c`, with `b` evaluated once.
    fn comparison(&mut self, first: Node, operator: &'static str, precedence: u16) -> Result<Node, String> {
        let mut rest = vec![(operator, self.expression(precedence + 1)?)];
        while let Some((operator, ..)) = self.binary_operator().filter(|(operator, ..)| ORDER.contains(operator)) {
            self.position += 1;
            self.grow()?;
            rest.push((operator, self.expression(precedence + 1)?));
        }
        Ok(Node::Comparison(Box::new(first), rest))
    }

    fn binary_operator(&self) -> Option<(&'static str, u16, bool)> {
        BINARY.iter().find(|(operator, ..)| self.is(operator)).copied()
    }

    fn condition(&mut self, condition: Node) -> Result<Node, String> {
        if !self.take("?") {
            return Ok(condition);
        }
        if self.take(":") {
            // A condition that holds can only be `true`.
            let (then, otherwise) = (Node::Boolean(true), self.expression(0)?);
            return Ok(Node::Condition(Box::new(condition), Box::new(then), Box::new(otherwise)));
        }
        let then = self.expression(0)?;
        self.expect(":")?;
        let otherwise = self.expression(0)?;
        Ok(Node::Condition(Box::new(condition), Box::new(then), Box::new(otherwise)))
    }

    fn if_else(&mut self) -> Result<Node, String> {
        self.expect("if")?;
        let condition = self.expression(0)?;
        self.expect("{")?;
        let then = self.sequence()?;
        self.expect("}")?;
        self.expect("else")?;
        let otherwise = if self.is("if") {
            self.deeper(Parser::if_else)?
        } else {
            self.expect("{")?;
            let otherwise = self.sequence()?;
            self.expect("}")?;
            otherwise
        };
        Ok(Node::Condition(Box::new(condition), Box::new(then), Box::new(otherwise)))
    }

    fn unary(&mut self) -> Result<Node, String> {
        for (operator, precedence) in [("not", 50), ("!", 1000), ("-", 90), ("+", 90)] {
            if self.take(operator) {
                let operand = self.expression(precedence)?;
                let operator = if operator == "!" { "not" } else { operator };
                return Ok(Node::Unary(operator, Box::new(operand)));
            }
        }
        let primary = self.primary()?;
        self.postfix(primary)
    }

    fn primary(&mut self) -> Result<Node, String> {
        let here = self.position;
        match self.next() {
            Kind::Integer(number) => Ok(Node::Integer(number)),
            Kind::Float(number) => Ok(Node::Float(number)),
            Kind::Text(text) => Ok(Node::Text(text)),
            Kind::Pointer(name) => Ok(Node::Pointer(name)),
            Kind::Word(word) => self.word(word),
            Kind::Operator("(") => {
                let node = self.sequence()?;
                self.expect(")")?;
                Ok(node)
            }
            Kind::Operator("[") => Ok(Node::Array(self.list("]", Parser::argument)?)),
            Kind::Operator("{") => Ok(Node::Map(self.list("}", Parser::pair)?)),
            Kind::Operator(".") => match self.next() {
                // Inside a closure `.x` is short for `#.x`.
                Kind::Word(name) => Ok(Node::Member {
                    of: Box::new(Node::Pointer(String::new())),
                    key: Box::new(Node::Text(name)),
                    optional: false,
                }),
                _ => Err("expected a name after the dot".to_string()),
            },
            _ => {
                self.position = here;
                Err(self.unexpected())
            }
        }
    }

    fn word(&mut self, word: String) -> Result<Node, String> {
        match word.as_str() {
            "true" => return Ok(Node::Boolean(true)),
            "false" => return Ok(Node::Boolean(false)),
            "nil" => return Ok(Node::Nil),
            "in" | "and" | "or" | "matches" | "contains" | "startsWith" | "endsWith" | "else" | "let" | "if" => {
                self.position -= 1;
                return Err(self.unexpected());
            }
            _ => {}
        }
        if !self.take("(") {
            return Ok(Node::Name(word));
        }
        let arguments = self.arguments(&word, 0)?;
        Ok(Node::Call(word, arguments))
    }

    /// The arguments of a call after its parenthesis; `given` of them come from a pipe.
    fn arguments(&mut self, function: &str, given: usize) -> Result<Vec<Node>, String> {
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
                if self.take(")") {
                    break;
                }
            }
            let is_predicate = PREDICATES.contains(&function) && arguments.len() + given == 1;
            arguments.push(if is_predicate { self.closure()? } else { self.argument()? });
        }
        Ok(arguments)
    }

    fn argument(&mut self) -> Result<Node, String> {
        self.expression(0)
    }

    fn closure(&mut self) -> Result<Node, String> {
        let body = if self.take("{") {
            let body = self.sequence()?;
            self.expect("}")?;
            body
        } else {
            self.expression(0)?
        };
        Ok(Node::Closure(Box::new(body)))
    }

    fn pipe(&mut self, value: Node) -> Result<Node, String> {
        let Kind::Word(function) = self.next() else { return Err("expected a function after the pipe".to_string()) };
        self.expect("(")?;
        let mut arguments = vec![value];
        arguments.extend(self.arguments(&function, 1)?);
        self.postfix(Node::Call(function, arguments))
    }

    fn list<T>(
        &mut self,
        end: &str,
        mut element: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let mut list = Vec::new();
        while !self.take(end) {
            if !list.is_empty() {
                self.expect(",")?;
                if self.take(end) {
                    break;
                }
            }
            list.push(element(self)?);
        }
        Ok(list)
    }

    fn pair(&mut self) -> Result<(Node, Node), String> {
        let key = match self.peek().clone() {
            Kind::Word(text) | Kind::Text(text) => {
                self.position += 1;
                Node::Text(text)
            }
            Kind::Integer(number) => {
                self.position += 1;
                Node::Text(number.to_string())
            }
            Kind::Operator("(") => self.expression(0)?,
            _ => return Err(self.unexpected()),
        };
        self.expect(":")?;
        Ok((key, self.expression(0)?))
    }

    fn postfix(&mut self, mut node: Node) -> Result<Node, String> {
        while [".", "?.", "["].iter().any(|operator| self.is(operator)) {
            self.grow()?;
            let optional = self.is("?.");
            if optional && matches!(self.tokens.get(self.position + 1).map(|t| &t.kind), Some(Kind::Operator("["))) {
                self.position += 1;
            }
            if self.is(".") || self.is("?.") {
                self.position += 1;
                let Kind::Word(name) = self.next() else { return Err("expected a name after the dot".to_string()) };
                node = Node::Member { of: Box::new(node), key: Box::new(Node::Text(name)), optional };
            } else {
                self.expect("[")?;
                node = self.index(node, optional)?;
            }
        }
        Ok(node)
    }

    fn index(&mut self, of: Node, optional: bool) -> Result<Node, String> {
        let of = Box::new(of);
        if self.take(":") {
            let to = if self.is("]") { None } else { Some(Box::new(self.expression(0)?)) };
            self.expect("]")?;
            return Ok(Node::Slice { of, from: None, to });
        }
        let key = Box::new(self.expression(0)?);
        if self.take(":") {
            let to = if self.is("]") { None } else { Some(Box::new(self.expression(0)?)) };
            self.expect("]")?;
            return Ok(Node::Slice { of, from: Some(key), to });
        }
        self.expect("]")?;
        Ok(Node::Member { of, key, optional })
    }
}
