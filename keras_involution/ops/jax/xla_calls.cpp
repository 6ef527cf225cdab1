// Calls from XLA programs on a CPU to libraries compiled from `_cpp/involution.cpp`.

#include "calls.h"

#include <utility>

#include "xla_c.h"

// XLA stores the argument block as an array of numbers.
static const contract::Problem* problem_of(const xla_c::Attributes& attributes) {
  auto array = static_cast<const xla_c::Array*>(attributes.find("problem"));
  const bool fits =
      array && array->size * sizeof(int64_t) == sizeof(contract::Problem);
  return fits ? static_cast<const contract::Problem*>(array->data) : nullptr;
}

template <class Function, size_t... argument, size_t... result>
static xla_c::Error* run(const xla_c::Call* call, const char* name,
                         std::index_sequence<argument...>,
                         std::index_sequence<result...>) {
  if (xla_c::tells_version(*call)) return nullptr;
  auto library = static_cast<const xla_c::Text*>(call->attributes.find("library"));
  const contract::Problem* given = problem_of(call->attributes);
  if (!library || !given || call->arguments.count != sizeof...(argument) ||
      call->results.count != sizeof...(result))
    return call->error(xla_c::invalid_argument,
                       "The argument block of involution has a different version.");
  // The block has the images of all devices, and the call those of one.
  contract::Problem problem = *given;
  problem.images = call->arguments.at[0]->sizes[0];
  std::string reason;
  auto function = reinterpret_cast<Function*>(
      function_of(std::string(*library), name, reason));
  if (!function) return call->error(xla_c::not_found, reason.c_str());
  if (function(&problem, call->arguments.at[argument]->data...,
               call->results.at[result]->data...))
    return call->error(xla_c::resource_exhausted,
                       "Not enough memory to copy the inputs of the involution.");
  return nullptr;
}

extern "C" xla_c::Error* involution_call(const xla_c::Call* call) {
  return run<contract::Forward>(call, "involution", std::make_index_sequence<2>(),
                                std::make_index_sequence<1>());
}

extern "C" xla_c::Error* gradients_call(const xla_c::Call* call) {
  return run<contract::Gradients>(call, "involution_gradients",
                                  std::make_index_sequence<3>(),
                                  std::make_index_sequence<2>());
}

extern "C" xla_c::Error* fused_call(const xla_c::Call* call) {
  return run<contract::Fused>(call, "involution_fused", std::make_index_sequence<4>(),
                              std::make_index_sequence<1>());
}

extern "C" xla_c::Error* fused_gradients_call(const xla_c::Call* call) {
  return run<contract::FusedGradients>(call, "involution_fused_gradients",
                                       std::make_index_sequence<5>(),
                                       std::make_index_sequence<4>());
}
