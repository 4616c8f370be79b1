add_library(dnnbrain_warnings INTERFACE)
add_library(dnnbrain::warnings ALIAS dnnbrain_warnings)
target_compile_options(dnnbrain_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                                   $<$<BOOL:${DNNBRAIN_WERROR}>:-Werror>)
