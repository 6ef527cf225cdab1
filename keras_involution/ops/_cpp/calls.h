// What the calls of XLA and of TensorFlow to libraries made of `involution.cpp` share.
// A call names its library's file, so that a program that is kept for another process
// finds it again there.

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#if defined(_OPENMP)
#include <omp.h>
#endif

// Where the struct `Problem` has its number of threads.
constexpr size_t threads_at = 8;

inline int64_t most_threads() {
#if defined(_OPENMP)
  return omp_get_max_threads();
#else
  return 1;
#endif
}

typedef void Team(void (*part)(void*), void* work, ptrdiff_t threads);

// A team that is given takes the place of OpenMP's.
inline void* function_of(const std::string& library, const char* name,
                         Team* team = nullptr) {
  static std::mutex mutex;
  static std::map<std::string, void*> opened;
  std::lock_guard<std::mutex> guard(mutex);
  void*& handle = opened[library];
  if (!handle) {
    handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle && team) *static_cast<Team**>(dlsym(handle, "team")) = team;
  }
  return handle ? dlsym(handle, name) : nullptr;
}
