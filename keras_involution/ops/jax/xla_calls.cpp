// Calls that an XLA program makes on a CPU to libraries made of `_cpp/involution.cpp`.
// A call names its library's file, so that a program kept by JAX's compilation cache
// finds it again in another process.

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

typedef ffi::Span<const int64_t> Numbers;
// Where the struct `Problem` has its number of threads.
constexpr size_t threads_at = 8;

static void* function_of(std::string_view library, const char* name) {
  static std::mutex mutex;
  static std::map<std::string, void*> opened;
  std::lock_guard<std::mutex> guard(mutex);
  void*& handle = opened[std::string(library)];
  if (!handle) handle = dlopen(std::string(library).c_str(), RTLD_NOW | RTLD_LOCAL);
  return handle ? dlsym(handle, name) : nullptr;
}

static std::vector<int64_t> with_threads(Numbers numbers) {
  std::vector<int64_t> problem(numbers.begin(), numbers.end());
#if defined(_OPENMP)
  problem[threads_at] = omp_get_max_threads();
#else
  problem[threads_at] = 1;
#endif
  return problem;
}

template <class... Pointers>
static ffi::Error call(const char* name, std::string_view library, Numbers numbers,
                       Pointers... pointers) {
  typedef int Function(const int64_t*, Pointers...);
  auto function = reinterpret_cast<Function*>(function_of(library, name));
  if (!function)
    return ffi::Error(ffi::ErrorCode::kNotFound,
                      "The compiled involution is gone: " + std::string(library));
  if (function(with_threads(numbers).data(), pointers...))
    return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                      "No memory for the copies of involution's inputs.");
  return ffi::Error::Success();
}

static ffi::Error run(std::string_view library, Numbers numbers, ffi::AnyBuffer x,
                      ffi::AnyBuffer k, ffi::Result<ffi::AnyBuffer> y) {
  return call("involution", library, numbers, x.untyped_data(), k.untyped_data(),
              y->untyped_data());
}

static ffi::Error run_gradients(std::string_view library, Numbers numbers,
                                ffi::AnyBuffer x, ffi::AnyBuffer k, ffi::AnyBuffer dy,
                                ffi::Result<ffi::AnyBuffer> dx,
                                ffi::Result<ffi::AnyBuffer> dk) {
  return call("gradients", library, numbers, x.untyped_data(), k.untyped_data(),
              dy.untyped_data(), dx->untyped_data(), dk->untyped_data());
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(involution_call, run,
                              ffi::Ffi::Bind()
                                  .Attr<std::string_view>("library")
                                  .Attr<Numbers>("problem")
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(gradients_call, run_gradients,
                              ffi::Ffi::Bind()
                                  .Attr<std::string_view>("library")
                                  .Attr<Numbers>("problem")
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>());
