// The gradient of one position's kernel: products of the upstream with each tap's
// inputs, summed over the channels of a group.

#pragma once

#include <utility>

#include "window.h"

namespace {

// Halves the lanes that each of `sums` sums is spread over; a's sums, then b's.
template <Size lanes, Size sums, class Vector, Size... lane>
Vector merge(Vector a, Vector b, std::integer_sequence<Size, lane...>) {
  constexpr Size half = lanes / (2 * sums);
  return __builtin_shufflevector(
             a, b, (lane / half / sums * lanes + lane / half % sums * 2 * half +
                    lane % half)...) +
         __builtin_shufflevector(
             a, b, (lane / half / sums * lanes + lane / half % sums * 2 * half +
                    lane % half + half)...);
}

// `count` neighboring taps' products, each summed over lanes / count of its lanes.
template <class W, Size count>
typename W::Vector products(const W& window, const typename W::Real* x,
                            const Size* offset, const typename W::Real* dy) {
  typedef typename W::Vector Vector;
  if constexpr (count == 1) {
    Vector sum, input, upstream;
    load(input, x + *offset), load(upstream, dy);
    sum = input * upstream;
    for (Size v = W::lanes; v < window.pixel(); v += W::lanes) {
      load(input, x + *offset + v), load(upstream, dy + v);
      sum += input * upstream;
    }
    return sum;
  } else {
    constexpr Size half = count / 2;
    return merge<W::lanes, half>(products<W, half>(window, x, offset, dy),
                                 products<W, half>(window, x, offset + half, dy),
                                 std::make_integer_sequence<Size, W::lanes>());
  }
}

template <class W, Size sums>
typename W::Vector fold(typename W::Vector v) {
  if constexpr (sums == W::lanes)
    return v;
  else
    return fold<W, 2 * sums>(merge<W::lanes, sums>(
        v, v, std::make_integer_sequence<Size, W::lanes>()));
}

// `count` taps at a time, then fewer.
template <class W, Size count>
void kernel_gradient(const W& window, Size tap, const typename W::Real* x,
                     const Size* offset, const typename W::Real* dy,
                     typename W::Real* dk) {
  for (; tap + count <= window.taps; tap += count) {
    const auto sum = fold<W, count>(products<W, count>(window, x, offset + tap, dy));
    std::memcpy(dk + tap, &sum, count * sizeof(typename W::Real));
  }
  if constexpr (count > 1)
    kernel_gradient<W, count / 2>(window, tap, x, offset, dy, dk);
}

}  // namespace
