# One entry of 16 bytes for each vector: every entry saves the caller-saved registers and lets Rust decide.

.section .text.vectors, "ax"
.balign 16
.global vectors
vectors:
.set vector, 0
.rept 256
    .balign 16
    # The CPU itself pushes an error code for these (Intel SDM volume 3, table 7-1).
    .if vector != 8 && vector != 17 && vector != 21 && vector != 29 && vector != 30 && (vector < 10 || vector > 14)
    push    $0
    .endif
    push    $vector
    jmp     save_and_call
.set vector, vector + 1
.endr

save_and_call:
    push    %rax
    push    %rcx
    push    %rdx
    push    %rsi
    push    %rdi
    push    %r8
    push    %r9
    push    %r10
    push    %r11
    cld
    # The CPU has aligned the stack, and sixteen words lie on it.
    mov     %rsp, %rdi
    call    {handler}
    pop     %r11
    pop     %r10
    pop     %r9
    pop     %r8
    pop     %rdi
    pop     %rsi
    pop     %rdx
    pop     %rcx
    pop     %rax
    add     $16, %rsp
    iretq
