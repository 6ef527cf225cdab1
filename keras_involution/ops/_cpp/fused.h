// Involution whose kernels are computed in the cache, for a few rows at a time:
// `kernels = features @ matrix + bias`. They are never written to memory.

#pragma once

#include "product.h"
#include "work.h"

namespace {

// The tensors from which the kernels are computed; they are stored row by row.
template <class Real>
struct Span {
  const Real *features, *matrix, *bias;
};

// Rows of outputs whose kernels are computed at once. Products of fewer positions take
// more time.
inline Size strip_rows(const Problem& p) {
  return larger(1, smaller(p.output_sizes[1], 32 / p.output_sizes[2]));
}

// The kernels of some rows and groups.
template <class W>
struct Strip {
  typedef typename W::Real Real;
  typedef Span<Real> Given;
  const W& window;
  const Problem& p;
  const Span<Real>& span;
  const Size rows, positions, all_columns;
  Size first = -1, columns = 0;  // of the matrix
  Matrix<Real> matrix, bias, kernels;

  Strip(const W& window, const Span<Real>& span, Size groups)
      : window(window),
        p(window.p),
        span(span),
        rows(strip_rows(p)),
        positions(rows * p.output_sizes[2]),
        all_columns(p.groups * window.taps),
        matrix(p.features, groups * window.taps),
        bias(1, groups * window.taps),
        kernels(positions, groups * window.taps) {}
  bool allocated() const { return matrix.data && bias.data && kernels.data; }

  // The most groups whose kernels fit into the cache.
  static Size most_groups(const W& window) {
    const Size bytes = strip_rows(window.p) * window.p.output_sizes[2] * window.taps *
                       Size(sizeof(Real));
    return larger(1, smaller(window.p.groups, Tasks<W>::cache_bytes / bytes));
  }
  void choose(Size group, Size groups) {
    if (first == group * window.taps) return;
    first = group * window.taps, columns = groups * window.taps;
    for (Size r = 0; r < p.features; ++r)
      std::memcpy(matrix.row(r), span.matrix + r * all_columns + first,
                  columns * sizeof(Real));
    std::memcpy(bias.data, span.bias + first, columns * sizeof(Real));
  }
  Size position(Size image, Size d, Size h) const {
    const Three& sizes = p.output_sizes;
    return ((image * sizes[0] + d) * sizes[1] + h) * sizes[2];
  }
  void make(Size image, Size d, Size h, Size count) {
    const Real* features = span.features + position(image, d, h) * p.features;
    product(count * p.output_sizes[2], columns, p.features,
            Factor<Real>{features, p.features, 1}, matrix, bias.data, 0, kernels);
  }
  Weights<Real, true> of_row(Size row, Size g) const {
    return {kernels.row(row * p.output_sizes[2]) + g * window.taps, kernels.step};
  }
};

}  // namespace
