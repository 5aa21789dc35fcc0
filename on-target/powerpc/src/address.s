# The 64 bits of an address, for `boot.s` and `vectors.s`.
.macro address register, symbol
    lis     \register, \symbol@highest
    ori     \register, \register, \symbol@higher
    sldi    \register, \register, 32
    oris    \register, \register, \symbol@high
    ori     \register, \register, \symbol@l
.endm
