# On our targets only: torch and Python are not instrumented, so they are preloaded instead (see
# CONTRIBUTING.md, "Sanitizers"). vptr is off because hidden visibility gives it false reports.
add_library(dnnbrain_sanitize INTERFACE)
add_library(dnnbrain::sanitize ALIAS dnnbrain_sanitize)
if(DNNBRAIN_SANITIZE)
  target_compile_options(
    dnnbrain_sanitize INTERFACE -g1 -O1 -fno-omit-frame-pointer -fsanitize=address,undefined
                                -fno-sanitize-recover=undefined -fno-sanitize=vptr)
  target_link_options(dnnbrain_sanitize INTERFACE -fsanitize=address,undefined -fno-sanitize=vptr)
endif()
