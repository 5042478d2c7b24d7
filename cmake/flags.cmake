# One interface target, linked by everything we write; third-party code never sees it.
include(CheckCCompilerFlag)
add_library(gw_flags INTERFACE)

set(warn
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-align -Wcast-qual
    -Wformat=2 -Wformat-signedness -Wimplicit-fallthrough -Wmissing-prototypes -Wmissing-declarations
    -Wstrict-prototypes -Wold-style-definition -Wredundant-decls -Wnested-externs -Wundef -Wvla
    -Wpointer-arith -Wwrite-strings -Wfloat-equal -Wfloat-conversion -Wdouble-promotion -Wnull-dereference
    -Wmissing-variable-declarations -Wcomma -Wbad-function-cast
    -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Walloca -Warith-conversion -Wtrampolines
    -Werror=implicit -Werror=incompatible-pointer-types -Werror=int-conversion -Werror=return-type)
set(harden
    -fno-common -fstack-protector-strong -fstack-clash-protection
    -fcf-protection=full -fstrict-flex-arrays=3 -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr)

foreach(f IN LISTS warn harden)
    string(MAKE_C_IDENTIFIER "HAVE${f}" var)
    check_c_compiler_flag("-Werror ${f}" ${var})
    if(${var})
        target_compile_options(gw_flags INTERFACE ${f})
    endif()
endforeach()

option(GW_WERROR "warnings are errors" ON)
target_compile_options(gw_flags INTERFACE $<$<BOOL:${GW_WERROR}>:-Werror> -fno-omit-frame-pointer -g)
target_link_options(gw_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)

set(GW_SAN "" CACHE STRING "sanitizers, comma separated")
if(GW_SAN)
    target_compile_options(gw_flags INTERFACE -fsanitize=${GW_SAN} -fno-sanitize-recover=all)
    target_link_options(gw_flags INTERFACE -fsanitize=${GW_SAN})
else() # -fno-strict-overflow blinds UBSan to signed overflow; FORTIFY needs -O and masks ASan reports
    target_compile_options(gw_flags INTERFACE -fno-strict-overflow
        $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=3>)
endif()
