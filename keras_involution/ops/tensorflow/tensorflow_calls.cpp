// TensorFlow operations that call libraries compiled from `_cpp/involution.cpp`. They use
// TensorFlow's C interface: its headers are small and rarely change.

#include "op_kernel.h"

// The shape of the outputs depends on attributes, which this interface does not provide.
static void unknown_shape(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

static void shapes_of_inputs(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  const int upstream = TF_ShapeInferenceContextNumInputs(context) - 1;
  for (int i = 0; i < upstream && TF_GetCode(status) == TF_OK; ++i) {
    TF_ShapeInferenceContextGetInput(context, i, shape, status);
    if (TF_GetCode(status) == TF_OK)
      TF_ShapeInferenceContextSetOutput(context, i, shape, status);
  }
  TF_DeleteShapeHandle(shape);
}

static void add_operation(const char* name, const std::vector<std::string>& inputs,
                          size_t outputs) {
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(name);
  for (const char* attribute :
       {"T: {float, double}", "library: string", "channels_first: bool",
        "group_channels: int", "kernel_size: list(int)", "strides: list(int)",
        "dilation_rate: list(int)"})
    TF_OpDefinitionBuilderAddAttr(builder, attribute);
  for (const std::string& input : inputs)
    TF_OpDefinitionBuilderAddInput(builder, (input + ": T").c_str());
  for (size_t i = 0; i < outputs; ++i) {
    const std::string output = outputs == 1 ? "outputs" : "of_" + inputs[i];
    TF_OpDefinitionBuilderAddOutput(builder, (output + ": T").c_str());
  }
  TF_OpDefinitionBuilderSetShapeInferenceFunction(
      builder, outputs == 1 ? unknown_shape : shapes_of_inputs);
  Status status;
  TF_RegisterOpDefinition(builder, status);
}

template <class Function>
static void add(const char* name, const char* function,
                const std::vector<std::string>& inputs) {
  typedef OpKernel<Function> Own;
  Own::function = function;
  add_operation(name, inputs, Own::outputs);
  for (TF_DataType type : {TF_FLOAT, TF_DOUBLE}) {
    TF_KernelBuilder* builder =
        TF_NewKernelBuilder(name, "CPU", Own::create, Own::compute, Own::destroy);
    Status status;
    TF_KernelBuilder_TypeConstraint(builder, "T", type, status);
    const std::string unique = name + std::string(type == TF_FLOAT ? "Float" : "Double");
    TF_RegisterKernelBuilder(unique.c_str(), builder, status);
  }
}

static const bool registered = [] {
  add<contract::Forward>("KerasInvolution", "involution", {"inputs", "kernels"});
  add<contract::Gradients>("KerasInvolutionGradients", "involution_gradients",
                           {"inputs", "kernels", "upstream"});
  add<contract::Fused>("KerasInvolutionFused", "involution_fused",
                       {"inputs", "features", "matrix", "bias"});
  add<contract::FusedGradients>("KerasInvolutionFusedGradients",
                                "involution_fused_gradients",
                                {"inputs", "features", "matrix", "bias", "upstream"});
  return true;
}();
