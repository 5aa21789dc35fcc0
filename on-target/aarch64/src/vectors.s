// Exception vectors (Arm ARM, D1.3.1): sixteen entries of 128 bytes. Every entry saves the caller-saved registers and lets
// Rust decide; whatever is not a probe's fault ends the run.

.macro entry kind
    .balign 128
    sub     sp, sp, #192
    stp     x0, x1, [sp]
    mov     x1, #\kind
    b       save_and_call
.endm

.section .text.vectors, "ax"
.balign 2048
.global vectors
vectors:
.set kind, 0
.rept 16
    entry kind
    .set kind, kind + 1
.endr

save_and_call:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x30, [sp, #144]
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    stp     x2, x3, [sp, #160]
    mov     x0, sp
    bl      {handler}
    ldp     x2, x3, [sp, #160]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    ldp     x18, x30, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp]
    add     sp, sp, #192
    eret
