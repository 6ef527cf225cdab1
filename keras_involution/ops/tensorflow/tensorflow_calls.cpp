// TensorFlow operations that call libraries compiled from `_cpp/involution.cpp`. They use
// TensorFlow's C interface: its headers are small and rarely change.

#include "calls.h"

#include <memory>

#include "node.h"
#include "pool.h"
#include "tensorflow_c.h"

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
};

static bool read_list(TF_OpKernelConstruction* from, const char* name, Numbers& to) {
  Status status;
  int32_t count, bytes;
  TF_OpKernelConstruction_GetAttrSize(from, name, &count, &bytes, status);
  if (status.failed()) return false;
  to.resize(count);
  TF_OpKernelConstruction_GetAttrInt64List(from, name, to.data(), count, status);
  return !status.failed();
}

static bool read_attributes(TF_OpKernelConstruction* from, Involution& node) {
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

template <bool gradients>
static void* create(TF_OpKernelConstruction* from) {
  auto node = std::make_unique<Involution>();
  node->wants_gradients = gradients;
  std::string reason = "The attributes of involution cannot be read.";
  if (read_attributes(from, *node))
    node->function =
        function_of(node->library, gradients ? "involution_gradients" : "involution",
                    reason, team_of_pool);
  if (node->function) return node.release();
  Status status;
  TF_SetStatus(status, TF_NOT_FOUND, reason.c_str());
  TF_OpKernelConstruction_Failure(from, status);
  return nullptr;
}

static void destroy(void* node) { delete static_cast<Involution*>(node); }

static void* allocate(TF_OpKernelContext* context, int index, const Numbers& shape,
                      Tensor& to, TF_Status* status) {
  const TF_DataType type = TF_ExpectedOutputDataType(context, index);
  const size_t bytes = product(shape) * TF_DataTypeSize(type);
  to.it = TF_AllocateOutput(context, index, type, shape.data(), shape.size(), bytes,
                            status);
  return TF_GetCode(status) == TF_OK ? TF_TensorData(to.it) : nullptr;
}

static const char* run(const Involution& node, TF_OpKernelContext* context,
                       TF_Status* status) {
  const bool gradients = node.wants_gradients;
  Tensor x, k, dy, first, second;
  TF_GetInput(context, 0, &x.it, status);
  if (TF_GetCode(status) == TF_OK) TF_GetInput(context, 1, &k.it, status);
  if (gradients && TF_GetCode(status) == TF_OK) TF_GetInput(context, 2, &dy.it, status);
  if (TF_GetCode(status) != TF_OK) return nullptr;
  const Call call(node, x.shape(), k.shape());
  if (!call.fits || (gradients && dy.shape() != call.channels_shape(call.outputs)))
    return "The shapes of the involution's inputs and kernels do not match.";
  const Numbers result = call.channels_shape(gradients ? call.sizes : call.outputs);
  void* to = allocate(context, 0, result, first, status);
  void* other = gradients && TF_GetCode(status) == TF_OK
                    ? allocate(context, 1, call.kernels_shape(), second, status)
                    : nullptr;
  if (TF_GetCode(status) != TF_OK || call.empty()) return nullptr;
  const contract::Problem problem = call.problem(TF_TensorType(x.it) == TF_DOUBLE);
  void *xs = TF_TensorData(x.it), *ks = TF_TensorData(k.it);
  const int failed =
      gradients
          ? reinterpret_cast<contract::Gradients*>(node.function)(
                &problem, xs, ks, TF_TensorData(dy.it), to, other)
          : reinterpret_cast<contract::Forward*>(node.function)(&problem, xs, ks, to);
  return failed ? "Not enough memory to copy the inputs of the involution." : nullptr;
}

static void compute(void* node, TF_OpKernelContext* context) {
  Status status;
  const char* problem = run(*static_cast<Involution*>(node), context, status);
  if (problem) TF_SetStatus(status, TF_INVALID_ARGUMENT, problem);
  if (status.failed()) TF_OpKernelContext_Failure(context, status);
}

// The shape of the outputs depends on attributes, which this interface does not provide.
static void unknown_shape(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

static void shapes_of_inputs(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  for (int i = 0; i < 2 && TF_GetCode(status) == TF_OK; ++i) {
    TF_ShapeInferenceContextGetInput(context, i, shape, status);
    if (TF_GetCode(status) == TF_OK)
      TF_ShapeInferenceContextSetOutput(context, i, shape, status);
  }
  TF_DeleteShapeHandle(shape);
}

static void add_operation(const char* name, bool gradients) {
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(name);
  for (const char* attribute :
       {"T: {float, double}", "library: string", "channels_first: bool",
        "group_channels: int", "kernel_size: list(int)", "strides: list(int)",
        "dilation_rate: list(int)"})
    TF_OpDefinitionBuilderAddAttr(builder, attribute);
  TF_OpDefinitionBuilderAddInput(builder, "inputs: T");
  TF_OpDefinitionBuilderAddInput(builder, "kernels: T");
  if (gradients) TF_OpDefinitionBuilderAddInput(builder, "upstream: T");
  TF_OpDefinitionBuilderAddOutput(builder, gradients ? "of_inputs: T" : "outputs: T");
  if (gradients) TF_OpDefinitionBuilderAddOutput(builder, "of_kernels: T");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(builder,
                                                  gradients ? shapes_of_inputs : unknown_shape);
  Status status;
  TF_RegisterOpDefinition(builder, status);
}

template <bool gradients>
static void add_kernel(const char* name, TF_DataType type) {
  TF_KernelBuilder* builder =
      TF_NewKernelBuilder(name, "CPU", create<gradients>, compute, destroy);
  Status status;
  TF_KernelBuilder_TypeConstraint(builder, "T", type, status);
  const std::string unique = name + std::string(type == TF_FLOAT ? "Float" : "Double");
  TF_RegisterKernelBuilder(unique.c_str(), builder, status);
}

static const bool registered = [] {
  add_operation("KerasInvolution", false);
  add_operation("KerasInvolutionGradients", true);
  for (TF_DataType type : {TF_FLOAT, TF_DOUBLE}) {
    add_kernel<false>("KerasInvolution", type);
    add_kernel<true>("KerasInvolutionGradients", type);
  }
  return true;
}();
