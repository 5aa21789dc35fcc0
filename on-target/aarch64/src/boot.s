// From the entry point, at physical addresses, to Rust in the upper half. One path for all CPUs: x0 is the CPU's number,
// zero from the entry point and PSCI's context id on the others.

.section .text.boot, "ax"

.global _start
_start:
    mov     x0, #0

.global secondary_start
secondary_start:
    mov     x20, x0
    msr     daifset, #0xf

    ldr     x1, ={mair}
    msr     mair_el1, x1
    ldr     x1, ={tcr}
    msr     tcr_el1, x1
    adrp    x1, boot_tables
    add     x1, x1, :lo12:boot_tables
    msr     ttbr0_el1, x1
    msr     ttbr1_el1, x1
    dsb     ish
    tlbi    vmalle1
    dsb     nsh
    isb
    ldr     x1, ={sctlr}
    msr     sctlr_el1, x1
    isb
    ldr     x1, =2f
    br      x1

2:  // Now in the upper half. The lower half becomes empty before anything of it can be mistaken for a process's page.
    msr     tpidr_el1, x20
    ldr     x1, =vectors
    msr     vbar_el1, x1
    ldr     x1, ={stacks}
    mov     x2, #{stack_size}
    add     x3, x20, #1
    madd    x1, x2, x3, x1
    mov     sp, x1
    mov     x29, #0
    bl      {leave_lower_half}
    mov     x0, x20
    bl      {enter}
    b       .
