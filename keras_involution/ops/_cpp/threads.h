// The threads that share the work of one call.

#pragma once

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "pool.h"

#if defined(_OPENMP)
#include <omp.h>
#elif defined(__linux__)
// A portable library is not linked with an OpenMP runtime. It uses the runtime that the
// process has loaded globally, such as PyTorch's, so that both use the same threads.
extern "C" {
[[gnu::weak]] void GOMP_parallel(void (*part)(void*), void* work, unsigned threads,
                                 unsigned flags);
[[gnu::weak]] int omp_get_max_threads();
}
#endif

namespace {

inline void team_of_process(void (*part)(void*), void* work, ptrdiff_t threads) {
#if defined(_OPENMP)
#pragma omp parallel num_threads(threads)
  part(work);
#else
#if defined(__linux__)
  if (GOMP_parallel) return GOMP_parallel(part, work, unsigned(threads), 0);
#endif
  team_of_pool(part, work, threads);
#endif
}

// The number of threads in OpenMP's settings.
inline ptrdiff_t threads_of_process() {
#if defined(_OPENMP)
  return omp_get_max_threads();
#else
#if defined(__linux__)
  if (omp_get_max_threads) return omp_get_max_threads();
#endif
  const char* setting = std::getenv("OMP_NUM_THREADS");
  const long number = setting ? std::strtol(setting, nullptr, 10) : 0;
  return number > 0 ? number : std::max(1u, std::thread::hardware_concurrency());
#endif
}

}  // namespace
