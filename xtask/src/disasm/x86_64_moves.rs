//! The lengths of the x86-64 instructions that only move data between registers and the stack.

/// How long the move at the head of some code is; `None` where there is no move.
///
/// Known are: MOV, LEA, XCHG, PUSH, POP, XOR of a register with itself, and ADD, SUB and AND of a small constant to RSP.
pub(super) fn length(code: &[u8]) -> Option<usize> {
    let (rex, rest) = match code {
        [rex, rest @ ..] if rex & 0xf0 == 0x40 => (*rex, rest),
        _ => (0, code),
    };
    let is_wide = rex & 0b1000 != 0;
    let modrm = rest.get(1).copied();
    let behind = match *rest.first()? {
        // PUSH and POP of a register.
        0x50..=0x5f => 1,
        // XOR r32, r32: mod 11, reg and rm the same; with REX, both extended or none.
        0x31 | 0x33 => {
            let modrm = modrm?;
            let is_same = modrm >> 3 & 7 == modrm & 7 && (rex >> 2 & 1) == rex & 1;
            return (modrm >> 6 == 3 && is_same).then_some(code.len() - rest.len() + 2);
        }
        // MOV and XCHG between register and register or memory, LEA.
        0x87 | 0x89 | 0x8b | 0x8d => 1 + operand(rest.get(1..)?)?,
        // ADD /0, AND /4 and SUB /5 of a signed byte to RSP: mod 11, rm 4.
        0x83 if is_wide && matches!(modrm, Some(0xc4 | 0xe4 | 0xec)) => 3,
        // MOV of a constant to a register, and to memory (/0).
        0xb8..=0xbf => 1 + if is_wide { 8 } else { 4 },
        0xc7 if modrm? >> 3 & 7 == 0 => 1 + operand(rest.get(1..)?)? + 4,
        _ => return None,
    };
    Some(code.len() - rest.len() + behind)
}

/// The length of a ModRM byte with what belongs to it (SDM volume 2, 2.1.3 and 2.2.1.3).
fn operand(code: &[u8]) -> Option<usize> {
    let modrm = *code.first()?;
    let (mode, rm) = (modrm >> 6, modrm & 7);
    if mode == 3 {
        return Some(1);
    }
    let scaled = usize::from(rm == 4);
    let has_no_base = match scaled {
        0 => rm == 5,
        _ => *code.get(1)? & 7 == 5,
    };
    let displacement = match mode {
        0 if has_no_base => 4,
        0 => 0,
        1 => 1,
        _ => 4,
    };
    Some(1 + scaled + displacement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_have_their_lengths() {
        let moves: [&[u8]; 17] = [
            &[0x53],                                     // push rbx
            &[0x41, 0x5e],                               // pop r14
            &[0x48, 0x89, 0xde],                         // mov rsi, rbx
            &[0x48, 0x87, 0xf3],                         // xchg rbx, rsi
            &[0x48, 0x89, 0x34, 0x24],                   // mov [rsp], rsi
            &[0x48, 0x89, 0x7c, 0x24, 0x08],             // mov [rsp + 8], rdi
            &[0x89, 0x47, 0x0c],                         // mov [rdi + 12], eax
            &[0x48, 0x8b, 0x06],                         // mov rax, [rsi]
            &[0x48, 0x8d, 0x44, 0x24, 0x08],             // lea rax, [rsp + 8]
            &[0x48, 0x8d, 0x05, 1, 2, 3, 4],             // lea rax, [rip + ...]
            &[0x8b, 0x04, 0x25, 1, 2, 3, 4],             // mov eax, [...]
            &[0x48, 0x89, 0x85, 1, 2, 3, 4],             // mov [rbp + ...], rax
            &[0x48, 0x83, 0xec, 0x10],                   // sub rsp, 16
            &[0x48, 0x83, 0xc4, 0x10],                   // add rsp, 16
            &[0x31, 0xc9],                               // xor ecx, ecx
            &[0x49, 0xbb, 1, 2, 3, 4, 5, 6, 7, 8],       // mov r11, ...
            &[0x48, 0xc7, 0x44, 0x24, 0x08, 1, 2, 3, 4], // mov qword ptr [rsp + 8], ...
        ];
        for code in moves {
            assert_eq!(length(code), Some(code.len()), "{code:02x?}");
            let more = [code, &[0x90; 8]].concat();
            assert_eq!(length(&more), Some(code.len()), "{code:02x?}");
        }
    }

    #[test]
    fn everything_else_is_no_move() {
        let others: [&[u8]; 12] = [
            &[],
            &[0x48],
            &[0xc3],                   // ret
            &[0x0f, 0xa2],             // cpuid
            &[0x0f, 0x01, 0x3f],       // invlpg [rdi]
            &[0x66, 0x0f, 0x38, 0x82], // invpcid
            &[0x31, 0xd9],             // xor ecx, ebx
            &[0x45, 0x31, 0xc1],       // xor r9d, r8d
            &[0x41, 0x31, 0xc9],       // xor r9d, ecx
            &[0x83, 0xc0, 0x01],       // add eax, 1
            &[0x48, 0x83, 0xc0, 0x01], // add rax, 1
            &[0xe8, 0, 0, 0, 0],       // call
        ];
        for code in others {
            assert_eq!(length(code), None, "{code:02x?}");
        }
    }
}
