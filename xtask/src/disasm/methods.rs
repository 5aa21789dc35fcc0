//! The methods of an architecture's `Instructions` trait, read from its source so that none can be forgotten.

/// One method: its name and the form of its instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) name: String,
    /// Whether it takes the instruction's operand.
    pub(super) takes_operand: bool,
    /// Whether it gives the instruction's result.
    pub(super) gives_value: bool,
}

impl Method {
    /// The instruction in assembly, where the name alone tells it; the operand is `x0`.
    pub(super) fn mnemonic(&self) -> Option<String> {
        let operand = if self.takes_operand { ", x0" } else { "" };
        match self.name.split_once('_') {
            Some((operation @ ("dsb" | "tlbi"), kind)) => {
                Some(format!("{operation} {kind}{operand}"))
            }
            None if self.name == "isb" => Some("isb".into()),
            _ => None,
        }
    }
}

/// Reads `fn name(&self, ...)` out of the trait's source.
pub(super) fn parse(source: &str) -> Vec<Method> {
    let within = source
        .split_once("trait Instructions")
        .map_or("", |(_, rest)| rest);
    // rustfmt puts the brace that ends an item at the beginning of its line.
    let within = within.split_once("\n}").map_or(within, |(body, _)| body);
    within.split(';').filter_map(parse_one).collect()
}

fn parse_one(item: &str) -> Option<Method> {
    let signature = item
        .lines()
        .map(str::trim)
        .find_map(|line| line.strip_prefix("fn "))?;
    let (name, rest) = signature.split_once('(')?;
    let (arguments, result) = rest.split_once(')')?;
    Some(Method {
        name: name.to_owned(),
        takes_operand: arguments.contains(','),
        gives_value: result.contains("->"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_methods_of_the_trait_alone() {
        let source = "fn outside(&self);\npub unsafe trait Instructions: Sync {\n    /// DSB ISH; done.\n    \
                      fn dsb_ish(&self);\n\n    /// TLBI.\n    fn tlbi_vae1is(&self, operand: u64);\n    \
                      fn midr(&self) -> u64;\n}\nfn after(&self);\n";
        let methods = parse(source);
        let names: Vec<_> = methods.iter().map(|method| method.name.as_str()).collect();
        assert_eq!(names, ["dsb_ish", "tlbi_vae1is", "midr"]);
        assert_eq!(methods[1].mnemonic().as_deref(), Some("tlbi vae1is, x0"));
        assert_eq!(methods[0].mnemonic().as_deref(), Some("dsb ish"));
        assert!(methods[2].gives_value && methods[2].mnemonic().is_none());
    }
}
