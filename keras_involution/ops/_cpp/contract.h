// The definition of the arguments that a caller passes to the kernels. C++ callers use
// this struct; Python reads its description from the loaded library and fills it by
// name. A library whose description differs from a caller's is rejected when loaded.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace contract {

// Changes with the meaning of a field or a function; the fields describe themselves.
constexpr int version = 4;

typedef int64_t Number;

// Values for depth, height and width. With fewer dimensions, the missing leading values
// are one for sizes, windows and strides, and zero for steps.
struct Three {
  Number at[3];
  Number operator[](int axis) const { return at[axis]; }
};

// How a tensor lies in memory: steps between images, groups, the minor elements of a
// group (channels or taps), and positions.
struct Layout {
  Number image, group, minor;
  Three space;

  Number row(Number i, Number g, Number d, Number h) const {
    return i * image + g * group + d * space[0] + h * space[1];
  }
};

// `double_precision` is one for float64 and zero for float32; `channels` are those of one
// group; with zero `threads`, OpenMP's settings apply. The layouts are those of inputs,
// kernels, outputs (or upstream), and both gradients. `features` are those of a position
// from which the fused functions compute its kernels.
#define INVOLUTION_FIELDS(FIELD)                                              \
  FIELD(Number, double_precision) FIELD(Number, threads) FIELD(Number, images) \
  FIELD(Number, groups) FIELD(Number, channels) FIELD(Number, features)       \
  FIELD(Three, kernel_size) FIELD(Three, strides) FIELD(Three, dilation_rate) \
  FIELD(Three, input_sizes) FIELD(Three, output_sizes)                        \
  FIELD(Layout, x) FIELD(Layout, k) FIELD(Layout, y) FIELD(Layout, dx) FIELD(Layout, dk)

struct Problem {
#define INVOLUTION_DECLARE(type, name) type name;
  INVOLUTION_FIELDS(INVOLUTION_DECLARE)
#undef INVOLUTION_DECLARE
};

// Batch normalization of `rows` of contiguous channels in float32. `relu` is one or zero.
struct Normalization {
  Number rows, channels, threads, relu;
  double epsilon;
};

// A line for the version, and one for each field: its name, first number and length.
// Not `inline`: all libraries of a process would share the text of an inline function.
[[maybe_unused]] static const char* description() {
  static const std::string text = [] {
    std::string lines = "version " + std::to_string(version) + " 0\n";
    auto add = [&lines](const char* name, size_t offset, size_t bytes) {
      lines += std::string(name) + " " + std::to_string(offset / sizeof(Number)) + " " +
               std::to_string(bytes / sizeof(Number)) + "\n";
    };
#define INVOLUTION_DESCRIBE(type, name) \
  add(#name, offsetof(Problem, name), sizeof(type));
    INVOLUTION_FIELDS(INVOLUTION_DESCRIBE)
#undef INVOLUTION_DESCRIBE
    return lines;
  }();
  return text.c_str();
}

// Calls a part of the work in several threads at once, or in one.
typedef void Team(void (*part)(void*), void* work, ptrdiff_t threads);

// The exports of a library: `involution_contract` describes the arguments, and
// `involution_team` is a pointer that the caller can set to its own threads. The other
// functions return zero, or one if memory runs out; null gradients are not computed.
typedef const char* Describe();
typedef int Forward(const Problem*, const void* x, const void* k, void* y);
typedef int Gradients(const Problem*, const void* x, const void* k, const void* dy,
                      void* dx, void* dk);
// The kernels are `f @ matrix + bias`. These three and their gradients are contiguous,
// with the positions of the outputs in row-major order. All gradients are computed.
typedef int Fused(const Problem*, const void* x, const void* f, const void* matrix,
                  const void* bias, void* y);
typedef int FusedGradients(const Problem*, const void* x, const void* f,
                           const void* matrix, const void* bias, const void* dy,
                           void* dx, void* df, void* dmatrix, void* dbias);
// `scale`, `offset` and `shortcut` may be null. The variance is that of the rows.
typedef int Normalized(const Normalization*, const float* x, const float* shortcut,
                       const float* scale, const float* offset, float* y, float* mean,
                       float* variance);
typedef int NormalizedGradients(const Normalization*, const float* x, const float* y,
                                const float* dy, const float* scale, const float* mean,
                                const float* variance, float* dx, float* dshortcut,
                                float* dscale, float* doffset);

}  // namespace contract
