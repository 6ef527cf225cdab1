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
  const W& window;
  const Problem& p;
  const Span<Real>& span;
  const Size positions, all_columns;
  Size first = -1, columns = 0;  // of the matrix
  Matrix<Real> matrix, bias, kernels;

  Strip(const W& window, const Span<Real>& span, Size groups)
      : window(window),
        p(window.p),
        span(span),
        positions(strip_rows(p) * p.output_sizes[2]),
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
  void make(Size position, Size count) {
    product(count, columns, p.features,
            Factor<Real>{span.features + position * p.features, p.features, 1}, matrix,
            bias.data, 0, kernels);
  }
  Weights<Real, true> of_row(Size row, Size g) const {
    return {kernels.row(row * p.output_sizes[2]) + g * window.taps, kernels.step};
  }
};

template <class W>
struct FusedForward {
  typedef typename W::Real Real;
  const W& window;
  const Tasks<W>& tasks;
  const Real* x;
  const Span<Real>& span;
  Real* y;

  template <class Next>
  bool operator()(Next next) const {
    const Problem& p = window.p;
    Plane<W> plane(window, tasks.groups, tasks.input_rows());
    Row<W> buffer(window);
    Strip<W> strip(window, span, tasks.groups);
    if (!plane.data || !buffer.y || !strip.allocated()) return false;
    for (Size index; (index = next()) < tasks.count;) {
      const Task task(tasks, index);
      plane.first = task.top * p.strides[1] - padding(p, 1);
      plane.fill(x + p.x.row(task.image, task.group, 0, 0), task.groups);
      strip.choose(task.group, task.groups);
      for (Size d = 0; d < p.output_sizes[0]; ++d)
        for (Size h = task.top; h < task.bottom; h += strip_rows(p))
          rows(task, plane, strip, buffer, d, h);
    }
    return true;
  }

 private:
  void rows(const Task& task, const Plane<W>& plane, Strip<W>& strip, Row<W>& buffer,
            Size d, Size top) const {
    const Problem& p = window.p;
    const Size count = smaller(strip_rows(p), task.bottom - top);
    strip.make(strip.position(task.image, d, top), count * p.output_sizes[2]);
    for (Size i = 0, h = top; i < count; ++i, ++h)
      for (Size g = 0; g < task.groups; ++g)
        forward_row(plane,
                    plane.row(g, d * p.strides[0], (h - task.top) * p.strides[1]),
                    strip.of_row(i, g), y + p.y.row(task.image, task.group + g, d, h),
                    buffer.y);
  }
};

}  // namespace
