// Calls that an XLA program makes on a CPU to libraries made of `_cpp/involution.cpp`.

#include "calls.h"

#include <string_view>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

typedef ffi::Span<const int64_t> Numbers;

// XLA keeps the argument block as an array of numbers.
static const contract::Problem* problem_of(Numbers numbers) {
  const bool fits = numbers.size() * sizeof(int64_t) == sizeof(contract::Problem);
  return fits ? reinterpret_cast<const contract::Problem*>(numbers.begin()) : nullptr;
}

template <class Function, class... Pointers>
static ffi::Error call(const char* name, std::string_view library, Numbers numbers,
                       Pointers... pointers) {
  std::string reason;
  auto function =
      reinterpret_cast<Function*>(function_of(std::string(library), name, reason));
  if (!function) return ffi::Error(ffi::ErrorCode::kNotFound, reason);
  const contract::Problem* problem = problem_of(numbers);
  if (!problem)
    return ffi::Error(ffi::ErrorCode::kInvalidArgument,
                      "The argument block of involution is of another version.");
  if (function(problem, pointers...))
    return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                      "No memory for the copies of involution's inputs.");
  return ffi::Error::Success();
}

static ffi::Error run(std::string_view library, Numbers numbers, ffi::AnyBuffer x,
                      ffi::AnyBuffer k, ffi::Result<ffi::AnyBuffer> y) {
  return call<contract::Forward>("involution", library, numbers, x.untyped_data(), k.untyped_data(),
              y->untyped_data());
}

static ffi::Error run_gradients(std::string_view library, Numbers numbers,
                                ffi::AnyBuffer x, ffi::AnyBuffer k, ffi::AnyBuffer dy,
                                ffi::Result<ffi::AnyBuffer> dx,
                                ffi::Result<ffi::AnyBuffer> dk) {
  return call<contract::Gradients>("involution_gradients", library, numbers, x.untyped_data(), k.untyped_data(),
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
