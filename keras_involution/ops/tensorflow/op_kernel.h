// A function of a library compiled from `_cpp/involution.cpp` as TensorFlow runs it.

#include <memory>
#include <type_traits>
#include <utility>

#include "calls.h"
#include "node.h"
#include "pool.h"
#include "tensorflow_c.h"

namespace {

struct Status {
  TF_Status* it = TF_NewStatus();
  ~Status() { TF_DeleteStatus(it); }
  operator TF_Status*() const { return it; }
  bool failed() const { return TF_GetCode(it) != TF_OK; }
};

struct Tensor {
  TF_Tensor* it = nullptr;
  Tensor() = default;
  Tensor(const Tensor&) = delete;
  ~Tensor() {
    if (it) TF_DeleteTensor(it);
  }
  Numbers shape() const {
    Numbers sizes(TF_NumDims(it));
    for (size_t axis = 0; axis < sizes.size(); ++axis) sizes[axis] = TF_Dim(it, axis);
    return sizes;
  }
  void clear() {
    const size_t bytes = TF_DataTypeSize(TF_TensorType(it)) * product(shape());
    if (bytes) std::memset(TF_TensorData(it), 0, bytes);
  }
};

bool read_list(TF_OpKernelConstruction* from, const char* name, Numbers& to) {
  Status status;
  int32_t count, bytes;
  TF_OpKernelConstruction_GetAttrSize(from, name, &count, &bytes, status);
  if (status.failed()) return false;
  to.resize(count);
  TF_OpKernelConstruction_GetAttrInt64List(from, name, to.data(), count, status);
  return !status.failed();
}

bool read_attributes(TF_OpKernelConstruction* from, Involution& node) {
  Status status;
  int32_t count, bytes;
  TF_OpKernelConstruction_GetAttrSize(from, "library", &count, &bytes, status);
  if (status.failed()) return false;
  node.library.resize(bytes);
  TF_OpKernelConstruction_GetAttrString(from, "library", &node.library[0], bytes, status);
  TF_Bool first;
  TF_OpKernelConstruction_GetAttrBool(from, "channels_first", &first, status);
  node.channels_first = first;
  TF_OpKernelConstruction_GetAttrInt64(from, "group_channels", &node.group_channels,
                                       status);
  return !status.failed() && read_list(from, "kernel_size", node.kernel_size) &&
         read_list(from, "strides", node.strides) &&
         read_list(from, "dilation_rate", node.dilation_rate);
}

void* allocate(TF_OpKernelContext* context, int index, const Numbers& shape, Tensor& to,
               TF_Status* status) {
  const TF_DataType type = TF_ExpectedOutputDataType(context, index);
  const size_t bytes = product(shape) * TF_DataTypeSize(type);
  to.it = TF_AllocateOutput(context, index, type, shape.data(), shape.size(), bytes,
                            status);
  return TF_GetCode(status) == TF_OK ? TF_TensorData(to.it) : nullptr;
}

// A function of the library as a kernel of TensorFlow. Its constant addresses are those
// of the inputs, and the others those of the outputs.
template <class Function>
struct OpKernel;

template <class... Address>
struct OpKernel<int(const contract::Problem*, Address...)> {
  typedef int Function(const contract::Problem*, Address...);
  static constexpr size_t count = sizeof...(Address);
  static constexpr size_t outputs = (size_t(std::is_same_v<Address, void*>) + ...);
  static constexpr size_t inputs = count - outputs;
  static inline const char* function = nullptr;

  static void* create(TF_OpKernelConstruction* from) {
    auto node = std::make_unique<Involution>();
    std::string reason = "The attributes of involution cannot be read.";
    if (read_attributes(from, *node))
      node->function = function_of(node->library, function, reason, team_of_pool);
    if (node->function) return node.release();
    Status status;
    TF_SetStatus(status, TF_NOT_FOUND, reason.c_str());
    TF_OpKernelConstruction_Failure(from, status);
    return nullptr;
  }

  static void destroy(void* node) { delete static_cast<Involution*>(node); }

  static void compute(void* node, TF_OpKernelContext* context) {
    Status status;
    const char* problem = run(*static_cast<Involution*>(node), context, status);
    if (problem) TF_SetStatus(status, TF_INVALID_ARGUMENT, problem);
    if (status.failed()) TF_OpKernelContext_Failure(context, status);
  }

 private:
  static const char* run(const Involution& node, TF_OpKernelContext* context,
                         TF_Status* status) {
    Tensor tensors[count];
    void* addresses[count];
    std::vector<Numbers> shapes(inputs);
    for (size_t i = 0; i < inputs; ++i) {
      TF_GetInput(context, i, &tensors[i].it, status);
      if (TF_GetCode(status) != TF_OK) return nullptr;
      shapes[i] = tensors[i].shape(), addresses[i] = TF_TensorData(tensors[i].it);
    }
    const Call call(node, shapes);
    if (!call.fits) return "The shapes of the involution's tensors do not match.";
    if (outputs == 1) shapes[0] = call.channels_shape(call.outputs);
    for (size_t i = 0; i < outputs; ++i) {
      Tensor& to = tensors[inputs + i];
      addresses[inputs + i] = allocate(context, i, shapes[i], to, status);
      if (TF_GetCode(status) != TF_OK) return nullptr;
      if (call.empty()) to.clear();
    }
    if (call.empty()) return nullptr;
    const bool is_double = TF_TensorType(tensors[0].it) == TF_DOUBLE;
    const contract::Problem problem = call.problem(is_double);
    if (!apply(node, problem, addresses, std::make_index_sequence<count>()))
      return nullptr;
    return "Not enough memory to copy the inputs of the involution.";
  }

  template <size_t... i>
  static int apply(const Involution& node, const contract::Problem& problem,
                   void* const* addresses, std::index_sequence<i...>) {
    return reinterpret_cast<Function*>(node.function)(&problem, addresses[i]...);
  }
};

}  // namespace
