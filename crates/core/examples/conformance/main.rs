#![allow(clippy::print_stdout)]
mod engine;
fn main() {
    for stem in ["replica_rules", "scaledobject_decision", "fallback", "formula"] {
        let text = std::fs::read_to_string(format!("/work/shared/conformance/engine/{stem}.jsonl")).unwrap();
        let (mut p, mut f) = (0, 0);
        for line in text.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            match engine::run(stem, &case) {
                Some(Ok(())) => p += 1,
                Some(Err(e)) => {
                    f += 1;
                    if f < 12 {
                        println!("  {} {} {e}", case["id"], case["in"])
                    }
                }
                None => {}
            }
        }
        println!("{stem} {p} passed {f} failed");
    }
}
