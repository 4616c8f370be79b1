// A loop that is compiled for several machines.
#pragma once

// A release is built for any machine; the loader picks the clone that fits the one it runs on.
// Sanitizers run before the loader's resolvers can. What a clone calls must be inlined into it.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define DNNBRAIN_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define DNNBRAIN_CLONES
#endif
