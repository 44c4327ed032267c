//! CSV with rows about its columns (`#datatype`, `#group`, `#default`), as InfluxDB answers a query in Flux.
//!
//! An answer has several tables, each with such rows and a header; lines without text stand between them.

/// One value of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name of the column.
    pub name: String,
    /// Type of the column, such as `double` or `long`.
    pub kind: String,
    /// The value; the column's default where it is empty.
    pub text: String,
}

/// The first record of the first table that has one; `None` where all tables are empty.
///
/// # Errors
/// That this is no such CSV, or that it tells of an error.
pub fn first_record(text: &str) -> Result<Option<Vec<Field>>, String> {
    let (mut kinds, mut defaults, mut names) = (Vec::new(), Vec::new(), None);
    if text.is_empty() {
        return Err("the answer is empty".to_string());
    }
    for row in rows(text)? {
        match row.first().map(String::as_str) {
            None => names = None,
            Some("#datatype") => (kinds, defaults, names) = (row, Vec::new(), None),
            Some("#default") => defaults = row,
            Some(first) if first.starts_with('#') => {}
            Some(_) if kinds.is_empty() => return Err("the answer is not annotated CSV".to_string()),
            Some(_) => match &names {
                None if row.get(1).is_some_and(|name| name == "error") => {
                    return Err("the query failed on the server".to_string());
                }
                None => names = Some(row),
                Some(names) => return record(names, &kinds, &defaults, &row).map(Some),
            },
        }
    }
    Ok(None)
}

fn record(names: &[String], kinds: &[String], defaults: &[String], row: &[String]) -> Result<Vec<Field>, String> {
    if row.len() != names.len() || kinds.len() != names.len() {
        return Err("a row of the answer has another number of columns than its table".to_string());
    }
    // The first column is that of the marks at the beginning of rows.
    let columns = names.iter().zip(kinds).zip(row).enumerate().skip(1);
    let fields = columns.map(|(column, ((name, kind), text))| {
        let default = defaults.get(column).filter(|_| text.is_empty());
        Field { name: name.clone(), kind: kind.clone(), text: default.unwrap_or(text).clone() }
    });
    Ok(fields.collect())
}

/// The rows; one without any text is empty.
fn rows(text: &str) -> Result<Vec<Vec<String>>, String> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if field.is_empty() => quoted(&mut characters, &mut field)?,
            ',' => row.push(std::mem::take(&mut field)),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' => rows.push(finished(&mut row, &mut field)),
            other => field.push(other),
        }
    }
    if !row.is_empty() || !field.is_empty() {
        rows.push(finished(&mut row, &mut field));
    }
    Ok(rows)
}

/// Reads on behind a quotation mark until the closing one; two of them stand for one.
fn quoted(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, field: &mut String) -> Result<(), String> {
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.next_if_eq(&'"').is_none() => return Ok(()),
            other => field.push(other),
        }
    }
    Err("the answer ends in the middle of a value".to_string())
}

fn finished(row: &mut Vec<String>, field: &mut String) -> Vec<String> {
    if row.is_empty() && field.is_empty() {
        return Vec::new();
    }
    row.push(std::mem::take(field));
    std::mem::take(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "#datatype,string,long,double\r\n#group,false,false,true\r\n#default,_result,,3\r\n";

    #[test]
    fn the_first_record_of_any_table_is_found_with_defaults() {
        let text =
            format!("{HEAD},result,table,_value\r\n\r\n{HEAD},result,table,\"a \"\"b\"\",\nc\"\r\n,,0,\r\n,,1,2\r\n");
        let record = first_record(&text).unwrap().unwrap();
        let fields: Vec<_> = record.iter().map(|field| (field.name.as_str(), field.text.as_str())).collect();
        assert_eq!(fields, [("result", "_result"), ("table", "0"), ("a \"b\",\nc", "3")]);
        assert_eq!(record[2].kind, "double");
    }

    #[test]
    fn nothing_is_nothing_and_anything_else_is_wrong() {
        assert_eq!(first_record("\r\n"), Ok(None));
        assert_eq!(first_record(&format!("{HEAD},result,table,_value\r\n")), Ok(None));
        let broken = format!("{HEAD},result,table,_value\r\n,,0\r\n");
        let error = "#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,no bucket,897\n";
        for wrong in ["", "<html>", "{\"data\": [{\"value\"", "#datatype,\"a", &broken, error] {
            assert!(first_record(wrong).is_err(), "{wrong}");
        }
    }
}
