// Blocks of neighboring outputs of a row, whose sums stay in registers.

#pragma once

#include "plane.h"

namespace {

template <int N>
struct Count {
  static constexpr int value = N;
};

// Calls `body(Count<n>, start)` on nearly equal pieces of a row.
template <class Body>
void in_blocks(Size width, Body body) {
  for (Size pieces = (width + block - 1) / block, start = 0; pieces; --pieces) {
    const Size n = (width - start + pieces - 1) / pieces;
    switch (n) {
      case 1: body(Count<1>(), start); break;
      case 2: body(Count<2>(), start); break;
      case 3: body(Count<3>(), start); break;
      case 4: body(Count<4>(), start); break;
      // Longer blocks do not exist where there are few registers.
      case 5: body(Count<smaller(5, block)>(), start); break;
      case 6: body(Count<smaller(6, block)>(), start); break;
      case 7: body(Count<smaller(7, block)>(), start); break;
      case 8: body(Count<smaller(8, block)>(), start); break;
    }
    start += n;
  }
}

// Prefetches the kernels after the current block: they do not fit into the cache, and
// the hardware does not predict the stride between the rows of a group.
template <int N, class Real>
void prefetch(const Real* k, Size k_step, Size taps) {
  for (Size n = block; n < block + N; ++n)
    for (Size tap = 0; tap < taps; tap += 64 / Size(sizeof(Real)))
      __builtin_prefetch(k + n * k_step + tap);
}

// Number of vectors of a position that are processed at once: the most for which all
// sums of a block, a position of the inputs and a weight fit into registers.
constexpr Size together(Size outputs, Size vectors) {
  Size some = vectors;
  while (some > 1 && (vectors % some || (outputs + 1) * some + 1 > registers)) --some;
  return some;
}

// `count` vectors of one position.
template <class W, Size count>
struct Part {
  typedef typename W::Real Real;
  static constexpr Size lanes = W::lanes;
  typename W::Vector at[count];

  static Part read(const Real* from) {
    Part p;
#pragma GCC unroll 16
    for (Size u = 0; u < count; ++u) load(p.at[u], from + u * lanes);
    return p;
  }
  void write(Real* to) const {
#pragma GCC unroll 16
    for (Size u = 0; u < count; ++u) store(to + u * lanes, at[u]);
  }
  void add(Real weight, const Part& other) {
#pragma GCC unroll 16
    for (Size u = 0; u < count; ++u) at[u] += weight * other.at[u];
  }
};

// Calls `body(Count<n>, first channel)` on the vectors of a position, n at a time.
template <class W, int N, class Body>
void in_parts(const W& window, Body body) {
  if constexpr (W::vectors) {
    constexpr Size count = together(N, W::vectors);
    for (Size v = 0; v < window.pixel(); v += count * W::lanes)
      body(Count<int(count)>(), v);
  } else {
    constexpr Size pair = together(N, 2);
    Size v = 0;
    for (; v + pair * W::lanes <= window.pixel(); v += pair * W::lanes)
      body(Count<int(pair)>(), v);
    if (v < window.pixel()) body(Count<1>(), v);
  }
}

// The tap through which output n of a block reads position i of a row, or a negative
// number if there is none. The width of the window is known, so each position is read
// once for all outputs.
template <class W>
constexpr Size tap_of(Size i, Size n) {
  const Size tap = i - n * W::stride;
  return tap < W::width ? tap : -1;
}
template <class W, int N>
constexpr Size positions = (N - 1) * W::stride + W::width;

template <int N, class W>
void forward_block(const Plane<W>& plane, const typename W::Real* x,
                   const typename W::Real* k, Size k_step, typename W::Real* y,
                   Size y_step) {
  typedef typename W::Real Real;
  const Problem& p = plane.p;
  const Size pixel = plane.window.pixel();
  const Size width = W::width ? W::width : p.kernel_size[2];
  const Real* weight[N];
  for (Size n = 0; n < N; ++n) weight[n] = k + n * k_step;
  in_parts<W, N>(plane.window, [&](auto count, Size v) {
    typedef Part<W, count.value> Some;
    Some sum[N] = {};
    Size tap = 0;
    for (Size d = 0; d < p.kernel_size[0]; ++d)
      for (Size h = 0; h < p.kernel_size[1]; ++h, tap += width) {
        const Real* row = x + d * plane.slice_step() + h * plane.row_step() + v;
        if constexpr (W::width) {
#pragma GCC unroll 32
          for (Size i = 0; i < positions<W, N>; ++i) {
            const Some input = Some::read(row + i * pixel);
#pragma GCC unroll 8
            for (Size n = 0; n < N; ++n)
              if (tap_of<W>(i, n) >= 0)
                sum[n].add(weight[n][tap + tap_of<W>(i, n)], input);
          }
        } else {
          for (Size w = 0; w < width; ++w)
#pragma GCC unroll 8
            for (Size n = 0; n < N; ++n) {
              const Size i = n * p.strides[2] + w * p.dilation_rate[2];
              sum[n].add(weight[n][tap + w], Some::read(row + i * pixel));
            }
        }
      }
#pragma GCC unroll 8
    for (Size n = 0; n < N; ++n) sum[n].write(y + n * y_step + v);
  });
}

// Adds `k * dy` to the inputs that each output has read.
template <int N, class W>
void inputs_block(const Plane<W>& plane, typename W::Real* dx,
                  const typename W::Real* k, Size k_step, const typename W::Real* dy) {
  typedef typename W::Real Real;
  const Problem& p = plane.p;
  const Size pixel = plane.window.pixel();
  const Size width = W::width ? W::width : p.kernel_size[2];
  const Real* weight[N];
  for (Size n = 0; n < N; ++n) weight[n] = k + n * k_step;
  in_parts<W, N>(plane.window, [&](auto count, Size v) {
    typedef Part<W, count.value> Some;
    Some upstream[N];
#pragma GCC unroll 8
    for (Size n = 0; n < N; ++n) upstream[n] = Some::read(dy + n * pixel + v);
    Size tap = 0;
    for (Size d = 0; d < p.kernel_size[0]; ++d)
      for (Size h = 0; h < p.kernel_size[1]; ++h, tap += width) {
        Real* row = dx + d * plane.slice_step() + h * plane.row_step() + v;
        if constexpr (W::width) {
#pragma GCC unroll 32
          for (Size i = 0; i < positions<W, N>; ++i) {
            Some sum = Some::read(row + i * pixel);
#pragma GCC unroll 8
            for (Size n = 0; n < N; ++n)
              if (tap_of<W>(i, n) >= 0)
                sum.add(weight[n][tap + tap_of<W>(i, n)], upstream[n]);
            sum.write(row + i * pixel);
          }
        } else {
          for (Size w = 0; w < width; ++w)
#pragma GCC unroll 8
            for (Size n = 0; n < N; ++n) {
              const Size i = n * p.strides[2] + w * p.dilation_rate[2];
              Some sum = Some::read(row + i * pixel);
              sum.add(weight[n][tap + w], upstream[n]);
              sum.write(row + i * pixel);
            }
        }
      }
  });
}

}  // namespace
