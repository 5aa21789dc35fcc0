# From the entry point, in 32-bit mode without paging, to Rust in the upper half. One path for all CPUs; a CPU's number is its
# APIC id.

# PVH: the note that names the entry point's physical address (Xen, elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY).
.section .note.pvh, "a", @note
.balign 4
    .long   4, 8, 18
    .asciz  "Xen"
    .quad   _start - {offset}

.section .rodata.gdt, "a"
.balign 8
gdt:
    .quad   0
    .quad   0x00af9b000000ffff      # 0x08: 64-bit code
    .quad   0x00cf93000000ffff      # 0x10: data
    .quad   0x00cf9b000000ffff      # 0x18: 32-bit code
gdt_end:
gdt_pointer_low:
    .word   gdt_end - gdt - 1
    .quad   gdt - {offset}
gdt_pointer:
    .word   gdt_end - gdt - 1
    .quad   gdt

.section .text.boot, "ax"

# Copied to a page below 1 MiB; entered in real mode with CS at that page and IP 0.
.code16
.global trampoline
trampoline:
    cli
    mov     %cs, %ax
    mov     %ax, %ds
    lgdtl   (trampoline_gdt_pointer - trampoline)
    mov     %cr0, %eax
    or      $1, %eax
    mov     %eax, %cr0
    ljmpl   $0x18, $(any_cpu - {offset})
.balign 4
trampoline_gdt_pointer:
    .word   gdt_end - gdt - 1
    .long   gdt - {offset}
.global trampoline_end
trampoline_end:

.code32
.global _start
_start:
    cli
    lgdtl   gdt_pointer_low - {offset}
any_cpu:
    mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     $1, %eax
    cpuid
    shr     $24, %ebx
    mov     %ebx, %esi
    mov     %cr4, %eax
    or      ${cr4}, %eax
    mov     %eax, %cr4
    mov     $(boot_tables - {offset}), %eax
    mov     %eax, %cr3
    mov     $0xc0000080, %ecx
    rdmsr
    or      ${efer}, %eax
    wrmsr
    mov     ${cr0}, %eax
    mov     %eax, %cr0
    ljmpl   $0x08, $(1f - {offset})

.code64
1:  movabs  $2f, %rax
    jmp     *%rax

2:  # Now in the upper half. The lower half becomes empty before anything of it can be mistaken for a process's page.
    lgdt    gdt_pointer(%rip)
    mov     %esi, %ebx
    mov     %rbx, %rax
    inc     %rax
    imul    ${stack_size}, %rax, %rax
    lea     {stacks}(%rip), %rsp
    add     %rax, %rsp
    xor     %ebp, %ebp
    call    {leave_lower_half}
    mov     %rbx, %rdi
    call    {enter}
    ud2
