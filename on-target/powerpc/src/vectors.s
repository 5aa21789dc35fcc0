# One entry for each interrupt vector: every entry saves what a call may change and lets Rust decide. Interrupts come in real mode;
# the handler runs in the mode that was interrupted.

# Bytes of a frame: 32 of linkage, those of `exception_frame.rs`, and the 288 below the stack pointer that belong to the function that was
# interrupted (ELFv2 ABI, 2.2.2.4).
.set FRAME, 512
.set GPR, 32
.set LR, GPR + 13 * 8
.set CTR, LR + 8
.set XER, CTR + 8
.set CR, XER + 8
.set PC, CR + 8
.set MSR, PC + 8
.set VECTOR, MSR + 8

.section .text.vectors, "ax"
# From 0x100 to 0xfff, as near to each other as the nearest two are.
.set vector, 0x100
.rept 120
    stdu    1, -FRAME(1)
    std     3, GPR + 3 * 8(1)
    li      3, vector
    # These leave their state in HSRR0 and HSRR1 (Power ISA 3.0B, Book III, "Interrupt Definitions").
    .if vector == 0x980 || (vector >= 0xe00 && vector < 0xf00) || vector >= 0xf80
    b       save_hypervisor
    .else
    b       save
    .endif
    .space  16
.set vector, vector + 0x20
.endr

save_hypervisor:
    std     4, GPR + 4 * 8(1)
    mfspr   4, 314                  # HSRR0
    std     4, PC(1)
    mfspr   4, 315                  # HSRR1
    b       call
save:
    std     4, GPR + 4 * 8(1)
    mfspr   4, 26                   # SRR0
    std     4, PC(1)
    mfspr   4, 27                   # SRR1
call:
    std     4, MSR(1)
    std     3, VECTOR(1)
    std     0, GPR(1)
    std     2, GPR + 2 * 8(1)
.irp register, 5, 6, 7, 8, 9, 10, 11, 12
    std     \register, GPR + \register * 8(1)
.endr
    mflr    5
    std     5, LR(1)
    mfctr   5
    std     5, CTR(1)
    mfxer   5
    std     5, XER(1)
    mfcr    5
    std     5, CR(1)
    # IR and DR as they were; RI.
    andi.   4, 4, 0x30
    ori     4, 4, 2
    mfmsr   5
    or      4, 4, 5
    # Real mode runs in quadrant 3 too, translation nowhere else.
    address 12, in_quadrant_3
    mtctr   12
    bctr
in_quadrant_3:
    mtmsrd  4
    isync
    addi    3, 1, GPR
    address 12, {handler}
    mtctr   12
    bctrl

    ld      5, CR(1)
    mtcr    5
    ld      5, XER(1)
    mtxer   5
    ld      5, CTR(1)
    mtctr   5
    ld      5, LR(1)
    mtlr    5
    ld      5, PC(1)
    mtspr   26, 5
    ld      5, MSR(1)
    mtspr   27, 5
    ld      0, GPR(1)
.irp register, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
    ld      \register, GPR + \register * 8(1)
.endr
    addi    1, 1, FRAME
    rfid
