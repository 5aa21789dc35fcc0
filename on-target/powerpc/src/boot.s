# From the entry points to Rust. Every thread comes here in real mode, some in big-endian mode; its number ends up in r31.

# A word as a big-endian CPU fetches it.
.macro big_endian word
    .long   ((\word & 0xff) << 24) | ((\word & 0xff00) << 8) | ((\word >> 8) & 0xff00) | ((\word >> 24) & 0xff)
.endm

# For either byte order: `tdi 0, 0, 72`, which never traps, and in the other order a branch over the next word.
.macro entry
    .long   0x08000048
    b       any_thread
    big_endian (0x48000000 | (turn_around - .))
.endm

.section .text.entry, "ax"
# A guest begins at the image's first byte, as RTAS starts its threads.
.global _start
_start:
    entry
# Without firmware every thread of a machine begins here.
.org 0x10
    entry

turn_around:
    big_endian 0x7d6000a6           # mfmsr r11
    big_endian 0x616b0001           # ori   r11, r11, 1: LE
    big_endian 0x429f0005           # bcl   20, 31, .+4
here:
    big_endian 0x7d4802a6           # mflr  r10
    big_endian (0x394a0000 | (any_thread - here))   # addi r10, r10, ...
    big_endian 0x7d5a03a6           # mtsrr0 r10
    big_endian 0x7d7b03a6           # mtsrr1 r11
    big_endian 0x4c000024           # rfid

any_thread:
    mfmsr   11
    rldicl. 11, 11, 4, 63           # HV
    beq     guest
    # Four numbers for each core (PIR), of which one thread is used.
    mfspr   31, 1023
    srdi    31, 31, 2
    b       leave

guest:
    # SF: the firmware computes with 32 bits.
    li      9, 1
    sldi    9, 9, 63
    mfmsr   11
    or      11, 11, 9
    mtmsrd  11
    isync
    bcl     20, 31, 1f
1:  mflr    10
    addi    10, 10, _start - 1b     # where the image lies
    mr      31, 3                   # as RTAS was told
    cmpdi   10, 0
    beq     leave
    # The first thread moves the image to address 0. The firmware there has done its work.
    li      31, 0
    address 9, IMAGE_END
    clrldi  9, 9, 4
    srdi    9, 9, 3
    mtctr   9
    li      9, 0
2:  ldx     8, 10, 9
    stdx    8, 0, 9
    addi    9, 9, 8
    bdnz    2b
    sync
    isync

leave:
    address 10, at_home
    mtctr   10
    bctr

.section .text.boot, "ax"
at_home:
    address 1, {stacks}
    addi    9, 31, 1
    lis     8, {stack_size}@h
    ori     8, 8, {stack_size}@l
    mulld   9, 9, 8
    add     1, 1, 9
    li      0, 0
    stdu    0, -64(1)
    mr      3, 31
    address 12, {enter}
    mtctr   12
    bctrl
    trap
