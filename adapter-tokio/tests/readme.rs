//! The README shows the example that the build compiles.

#[test]
fn the_readme_shows_the_example() {
    let (readme, example) = (include_str!("../../README.md"), include_str!("../examples/echo.rs"));
    assert!(
        readme.contains(&format!("```rust\n{example}```\n")),
        "copy adapter-tokio/examples/echo.rs to README.md"
    );
}
