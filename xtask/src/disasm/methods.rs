//! The methods of an architecture's `Instructions` trait, read from its source so that none can be forgotten.

/// One method, as its declaration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) name: String,
    /// Name and type of each argument.
    pub(super) arguments: Vec<(String, String)>,
    /// The type of its result.
    pub(super) result: Option<String>,
}

/// Reads `fn name(&self, ...)` out of the trait's source.
pub(super) fn parse(source: &str) -> Vec<Method> {
    let within = source
        .split_once("trait Instructions")
        .map_or("", |(_, rest)| rest);
    // rustfmt puts the brace that ends an item at the beginning of its line.
    let within = within.split_once("\n}").map_or(within, |(body, _)| body);
    let code = within
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"));
    let code = code.collect::<Vec<_>>().join(" ");
    code.split("fn ").skip(1).filter_map(parse_one).collect()
}

fn parse_one(declaration: &str) -> Option<Method> {
    let (name, rest) = declaration.split_once('(')?;
    let (arguments, result) = rest.split_once(')')?;
    let arguments = arguments
        .split(',')
        .filter_map(|argument| argument.split_once(':'))
        .map(|(name, kind)| (name.trim().to_owned(), kind.trim().to_owned()));
    let result = result.split_once("->").map(|(_, kind)| kind);
    Some(Method {
        name: name.to_owned(),
        arguments: arguments.collect(),
        result: result.map(|kind| kind.trim().trim_end_matches(';').to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_methods_of_the_trait_alone() {
        let source = "fn outside(&self);\npub unsafe trait Instructions: Sync {\n    /// DSB ISH; fn of none.\n    \
                      fn dsb_ish(&self);\n\n    /// INVPCID.\n    fn invpcid(\n        &self,\n        kind: u64,\n        \
                      descriptor: [u64; 2],\n    );\n    fn midr(&self) -> u64;\n}\nfn after(&self);\n";
        let methods = parse(source);
        let names: Vec<_> = methods.iter().map(|method| method.name.as_str()).collect();
        assert_eq!(names, ["dsb_ish", "invpcid", "midr"]);
        let argument = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
        let expected = [argument("kind", "u64"), argument("descriptor", "[u64; 2]")];
        assert_eq!(methods[1].arguments, expected);
        assert_eq!(methods[2].result.as_deref(), Some("u64"));
        assert_eq!(methods[0].result, None);
    }
}
