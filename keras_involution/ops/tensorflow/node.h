// What one node of TensorFlow's graph says of its involution, and what
// `_cpp/involution.cpp` is told when it runs.

#include <cstdint>
#include <string>
#include <vector>

#include "contract.h"

typedef std::vector<int64_t> Numbers;

inline int64_t product(const Numbers& of) {
  int64_t result = 1;
  for (int64_t number : of) result *= number;
  return result;
}

// What a node of the graph says about its involution.
struct Involution {
  std::string library;
  bool channels_first = false;
  int64_t group_channels = 0;
  Numbers kernel_size, strides, dilation_rate;
  void* function = nullptr;

  // (B, ..., G, m) or (B, G, m, ...), as the kernels and the split channels lie.
  Numbers shape(int64_t images, const Numbers& space, const Numbers& last) const {
    Numbers result = {images};
    const Numbers& first = channels_first ? last : space;
    const Numbers& second = channels_first ? space : last;
    result.insert(result.end(), first.begin(), first.end());
    result.insert(result.end(), second.begin(), second.end());
    return result;
  }
  Numbers output_sizes(const Numbers& sizes) const {
    Numbers result = sizes;
    for (size_t i = 0; i < sizes.size(); ++i)
      result[i] = (sizes[i] + strides[i] - 1) / strides[i];
    return result;
  }
};

inline contract::Three three(const Numbers& values, int64_t missing) {
  contract::Three result = {{missing, missing, missing}};
  for (size_t i = 0; i < values.size(); ++i)
    result.at[3 - values.size() + i] = values[i];
  return result;
}

// The layout of a tensor that lies row after row, of `minor` elements a group.
inline contract::Layout layout(const Involution& node, const Numbers& sizes,
                               int64_t groups, int64_t minor) {
  const int64_t positions = product(sizes);
  const int64_t element = node.channels_first ? positions : 1;
  Numbers space = sizes;
  int64_t step = node.channels_first ? 1 : groups * minor;
  for (size_t i = sizes.size(); i-- > 0; step *= sizes[i]) space[i] = step;
  return {positions * groups * minor, minor * element, element, three(space, 0)};
}

// One call: the sizes of this batch, checked, for the graph need not know them.
struct Call {
  const Involution& node;
  int64_t images = 0, groups = 0, features = 0;
  Numbers sizes, outputs;
  bool fits = false;

  // The shapes of inputs and kernels, or of inputs, features, matrix and bias; and that
  // of the upstream if gradients are computed.
  Call(const Involution& node, const std::vector<Numbers>& shapes) : node(node) {
    const size_t rank = node.kernel_size.size();
    const Numbers& x = shapes[0];
    if (x.size() != rank + 2 || node.group_channels < 1) return;
    images = x[0], groups = x[node.channels_first ? 1 : rank + 1] / node.group_channels;
    sizes.assign(x.begin() + (node.channels_first ? 2 : 1), x.end());
    sizes.resize(rank);
    outputs = node.output_sizes(sizes);
    std::vector<Numbers> expected = {channels_shape(sizes), kernels_shape()};
    if (shapes.size() > 3) {
      const int64_t taps = groups * product(node.kernel_size);
      features = shapes[1].empty() ? 0 : shapes[1].back();
      expected[1] = node.shape(images, outputs, {features});
      expected.insert(expected.end(), {{features, taps}, {taps}});
    }
    if (shapes.size() % 2) expected.push_back(channels_shape(outputs));
    fits = shapes == expected;
  }
  Numbers channels_shape(const Numbers& space) const {
    return node.shape(images, space, {groups * node.group_channels});
  }
  Numbers kernels_shape() const {
    Numbers last = {groups};
    last.insert(last.end(), node.kernel_size.begin(), node.kernel_size.end());
    return node.shape(images, outputs, last);
  }
  bool empty() const { return images * groups * product(sizes) == 0; }
  contract::Problem problem(bool double_precision) const {
    const int64_t taps = product(node.kernel_size);
    contract::Problem p = {};  // as many threads as OpenMP's settings say
    p.double_precision = double_precision;
    p.images = images, p.groups = groups, p.channels = node.group_channels;
    p.features = features;
    p.kernel_size = three(node.kernel_size, 1), p.strides = three(node.strides, 1);
    p.dilation_rate = three(node.dilation_rate, 1);
    p.input_sizes = three(sizes, 1), p.output_sizes = three(outputs, 1);
    p.x = p.dx = layout(node, sizes, groups, node.group_channels);
    p.y = layout(node, outputs, groups, node.group_channels);
    p.k = p.dk = layout(node, outputs, groups, taps);
    return p;
  }
};
