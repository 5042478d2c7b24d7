/* The block that tools/make_ranks.py wrote (RANKS_FILE), in read-only data. cet.h marks this object as fit for the
 * control-flow protection that the C objects have; one without the mark would switch it off for the program. */
#ifdef __CET__
#    include <cet.h>
#endif
    .section .rodata.ranks, "a"
    .global ranks_data
    .hidden ranks_data
    .type ranks_data, %object
    .balign 64
ranks_data:
    .incbin RANKS_FILE
    .size ranks_data, . - ranks_data
    .section .note.GNU-stack, "", %progbits
