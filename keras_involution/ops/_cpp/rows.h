// A row of outputs of one group, and its gradients.

#pragma once

#include <vector>

#include "blocks.h"
#include "kernel_gradient.h"

namespace {

// The kernels of a row with contiguous taps: in the cache, or in memory.
template <class Real, bool in_cache_>
struct Weights {
  static constexpr bool in_cache = in_cache_;
  const Real* at;
  Size step;
};

// Kernels in memory, in place or copied.
template <class W>
Weights<typename W::Real, false> stored(const W& window, const typename W::Real* k,
                                        typename W::Real* buffer) {
  const Problem& p = window.p;
  if (p.k.minor == 1) return {k, p.k.space[2]};
  gather(buffer, window.taps, k, p.output_sizes[2], p.k.space[2], window.taps,
         p.k.minor);
  return {buffer, window.taps};
}

template <class W, class Weights>
void forward_row(const Plane<W>& plane, const typename W::Real* x, Weights weights,
                 typename W::Real* y, typename W::Real* buffer) {
  const W& window = plane.window;
  const Problem& p = window.p;
  const Size pixel = window.pixel(), stride = W::width ? W::stride : p.strides[2];
  const bool direct = p.y.minor == 1 && window.channels() == pixel;
  typename W::Real* to = direct ? y : buffer;
  const Size to_step = direct ? p.y.space[2] : pixel;
  in_blocks(p.output_sizes[2], [&](auto count, Size w) {
    const typename W::Real* some = weights.at + w * weights.step;
    if (!Weights::in_cache) prefetch<count.value>(some, weights.step, window.taps);
    forward_block<count.value>(plane, x + w * stride * pixel, some, weights.step,
                               to + w * to_step, to_step);
  });
  if (!direct)
    scatter(y, p.y.space[2], p.y.minor, buffer, pixel, p.output_sizes[2],
            window.channels());
}

template <class W, class Weights>
void inputs_row(const Plane<W>& sums, typename W::Real* dx, Weights weights,
                const typename W::Real* dy) {
  const W& window = sums.window;
  const Problem& p = window.p;
  const Size pixel = window.pixel(), stride = W::width ? W::stride : p.strides[2];
  in_blocks(p.output_sizes[2], [&](auto count, Size w) {
    const typename W::Real* some = weights.at + w * weights.step;
    if (!Weights::in_cache) prefetch<count.value>(some, weights.step, window.taps);
    inputs_block<count.value>(sums, dx + w * stride * pixel, some, weights.step,
                              dy + w * pixel);
  });
}

// Where the taps of a window read, from its first one on.
template <class W>
std::vector<Size> offsets_of_taps(const Plane<W>& inputs) {
  const Problem& p = inputs.p;
  std::vector<Size> offsets;
  offsets.reserve(inputs.window.taps);
  for (Size d = 0; d < p.kernel_size[0]; ++d)
    for (Size h = 0; h < p.kernel_size[1]; ++h)
      for (Size w = 0; w < p.kernel_size[2]; ++w)
        offsets.push_back(d * inputs.slice_step() + h * inputs.row_step() +
                          w * p.dilation_rate[2] * inputs.window.pixel());
  return offsets;
}

template <class W>
void kernels_row(const W& window, const typename W::Real* x,
                 const std::vector<Size>& offsets, const typename W::Real* dy,
                 typename W::Real* dk, Size dk_step) {
  const Problem& p = window.p;
  const Size pixel = window.pixel(), stride = W::width ? W::stride : p.strides[2];
  for (Size w = 0; w < p.output_sizes[2]; ++w)
    kernel_gradient<W, W::lanes>(window, 0, x + w * stride * pixel, offsets.data(),
                                 dy + w * pixel, dk + w * dk_step);
}

}  // namespace
