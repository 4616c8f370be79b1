option(DNNBRAIN_TESTS "Build the C++ tests" OFF)
option(DNNBRAIN_WERROR "Treat compiler warnings as errors" OFF)
option(DNNBRAIN_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()
