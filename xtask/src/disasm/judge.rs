//! Whether what was built is what the manual says.

use super::methods::Method;
use super::probe::{Built, METHOD, MNEMONIC};
use super::set::{Literal, Set};

/// Exactly the literal and a return; and the literal is what the assembler makes of the mnemonic.
pub(super) fn judge(
    set: &Set,
    method: &Method,
    literals: &[Literal],
    built: &Built,
) -> Result<(), String> {
    let Method { name, .. } = method;
    let Some(literal) = literals.iter().find(|known| known.name == name) else {
        return Err("a method without a literal".into());
    };
    let code = built.get(&format!("{METHOD}{name}")).ok_or("not built")?;
    is_alone(set, literal, code).map_err(|why| format!("{why}: {code:02x?} built"))?;
    if let Some(mnemonic) = (set.mnemonic)(method) {
        let assembled = built
            .get(&format!("{MNEMONIC}{name}"))
            .ok_or("not assembled")?;
        if !literal.begins(assembled) || assembled.len() != literal.code.len() {
            return Err(format!("not what `{mnemonic}` is: {assembled:02x?}"));
        }
    }
    Ok(())
}

/// The literal once, a return at the end, and beside them at most moves, if the literal allows them.
fn is_alone(set: &Set, literal: &Literal, code: &[u8]) -> Result<(), &'static str> {
    let mut rest = code;
    let mut found = false;
    while rest != set.ret {
        let length = if !found && literal.begins(rest) {
            found = true;
            literal.code.len()
        } else if literal.may_move {
            (set.length_of_move)(rest).ok_or("something besides it and moves")?
        } else {
            return Err("not the literal and a return");
        };
        rest = rest.get(length..).ok_or("an instruction that is cut off")?;
    }
    if found {
        Ok(())
    } else {
        Err("the literal is missing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disasm::set::Masked;

    const RET: u8 = 0xc3;

    fn set() -> Set {
        Set {
            arch: "none",
            target: "none",
            literals: Vec::new,
            ret: &[RET],
            // A single byte, 0x50 to 0x5f, is a move here.
            length_of_move: |code| code.first().filter(|byte| **byte >> 4 == 5).map(|_| 1),
            directive: "",
            mnemonic: |method| Some(method.name.clone()),
        }
    }

    fn literal(may_move: bool) -> Literal {
        let third = Masked {
            value: 0x38,
            mask: 0xf8,
        };
        Literal {
            name: "invlpg",
            code: vec![0x0f.into(), 0x01.into(), third],
            registers: &[],
            may_move,
        }
    }

    fn method() -> Method {
        Method {
            name: "invlpg".into(),
            arguments: Vec::new(),
            result: None,
        }
    }

    fn verdict(code: &[u8], mnemonic: &[u8], literal: Literal) -> Result<(), String> {
        let code = (format!("{METHOD}invlpg"), code.to_vec());
        let built = [code, (format!("{MNEMONIC}invlpg"), mnemonic.to_vec())].into();
        judge(&set(), &method(), &[literal], &built)
    }

    const MNEMONIC_CODE: [u8; 3] = [0x0f, 0x01, 0x3f];

    #[test]
    fn only_the_literal_and_a_return_pass() {
        let verdict = |code: &[u8]| verdict(code, &MNEMONIC_CODE, literal(false));
        assert_eq!(verdict(&[0x0f, 0x01, 0x3f, RET]), Ok(()));
        assert_eq!(verdict(&[0x0f, 0x01, 0x38, RET]), Ok(()));
        assert!(verdict(&[0x0f, 0x01, 0x30, RET]).is_err());
        assert!(verdict(&[0x0f, 0x01, 0x3f]).is_err());
        assert!(verdict(&[RET]).is_err());
        assert!(verdict(&[0x50, 0x0f, 0x01, 0x3f, RET]).is_err());
        assert!(verdict(&[0x0f, 0x01, 0x3f, 0x0f, 0x01, 0x3f, RET]).is_err());
    }

    #[test]
    fn moves_pass_where_the_literal_allows_them_and_nothing_else_does() {
        let verdict = |code: &[u8]| verdict(code, &MNEMONIC_CODE, literal(true));
        assert_eq!(verdict(&[0x50, 0x0f, 0x01, 0x3f, 0x58, RET]), Ok(()));
        assert!(verdict(&[0x50, 0x58, RET]).is_err());
        assert!(verdict(&[0x0f, 0x01, 0x3f, 0x0f, 0x01, 0x3f, RET]).is_err());
        assert!(verdict(&[0x0f, 0xa2, 0x0f, 0x01, 0x3f, RET]).is_err());
    }

    #[test]
    fn a_wrong_or_missing_literal_does_not_pass() {
        let right = [0x0f, 0x01, 0x3f, RET];
        assert!(verdict(&right, &[0x0f, 0x01, 0x37], literal(false)).is_err());
        let other = Literal {
            name: "tlbsync",
            ..literal(false)
        };
        assert!(verdict(&right, &MNEMONIC_CODE, other).is_err());
    }
}
