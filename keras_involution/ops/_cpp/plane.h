// Copies of inputs and rows in the internal order.

#pragma once

#include "window.h"

namespace {

// A padded copy of some groups of one image: `rows` of its rows from `first` on, as
// [group][depth][row][position][channel].
template <class W>
struct Plane {
  typedef typename W::Real Real;
  const W& window;
  const Problem& p;
  const Size groups, depth, rows, width;
  Size first;
  Real* const data;

  Plane(const W& window, Size groups, Size rows)
      : window(window),
        p(window.p),
        groups(groups),
        depth(p.input_sizes[0] + halo(p, 0)),
        rows(rows),
        width(p.input_sizes[2] + halo(p, 2)),
        first(-padding(p, 1)),
        data(static_cast<Real*>(std::aligned_alloc(64, bytes()))) {
    if (data) clear();
  }
  Plane(const Plane&) = delete;
  ~Plane() { std::free(data); }
  Size bytes() const {
    const Size all = groups * depth * rows * width * window.pixel() * sizeof(Real);
    return (all + 63) / 64 * 64;
  }
  void clear() { std::memset(data, 0, bytes()); }
  Real* row(Size g, Size d, Size h) const {
    return data + ((g * depth + d) * rows + h) * width * window.pixel();
  }
  Size row_step() const { return p.dilation_rate[1] * width * window.pixel(); }
  Size slice_step() const {
    return p.dilation_rate[0] * rows * width * window.pixel();
  }

  void fill(const Real* x, Size count) {
    for (Size d = 0; d < p.input_sizes[0]; ++d)
      for (Size r = 0; r < rows; ++r) fill_row(x, count, d, r);
  }
  void empty(Real* dx, Size count) const {
    const Size pixel = window.pixel();
    for (Size d = 0; d < p.input_sizes[0]; ++d)
      for (Size h = 0; h < p.input_sizes[1]; ++h)
        for (Size g = 0; g < count; ++g)
          scatter(dx + p.dx.row(0, g, d, h), p.dx.space[2], p.dx.minor,
                  row(g, d + padding(p, 0), h - first) + padding(p, 2) * pixel, pixel,
                  p.input_sizes[2], window.channels());
  }

 private:
  void fill_row(const Real* x, Size count, Size d, Size r) {
    const Size h = r + first, pixel = window.pixel(), positions = p.input_sizes[2];
    const Size group = row(1, 0, 0) - row(0, 0, 0);
    Real* to = row(0, d + padding(p, 0), r) + padding(p, 2) * pixel;
    if (h < 0 || h >= p.input_sizes[1]) {
      for (Size g = 0; g < count; ++g)
        std::memset(to + g * group, 0, positions * pixel * sizeof(Real));
    } else if (p.x.minor == 1) {
      for (Size i = 0; i < positions; ++i)
        for (Size g = 0; g < count; ++g)
          std::memcpy(to + g * group + i * pixel,
                      x + p.x.row(0, g, d, h) + i * p.x.space[2],
                      window.channels() * sizeof(Real));
    } else {
      for (Size g = 0; g < count; ++g)
        gather(to + g * group, pixel, x + p.x.row(0, g, d, h), positions,
               p.x.space[2], window.channels(), p.x.minor);
    }
  }
};

// One row of outputs and kernels: [position][channel or tap].
template <class W>
struct Row {
  typedef typename W::Real Real;
  Real *const y, *const k;

  explicit Row(const W& window)
      : y(allocated(window.p.output_sizes[2] * window.pixel())),
        k(allocated(window.p.output_sizes[2] * window.taps)) {}
  Row(const Row&) = delete;
  ~Row() {
    std::free(y);
    std::free(k);
  }
  static Real* allocated(Size numbers) {
    return static_cast<Real*>(std::calloc(numbers, sizeof(Real)));
  }
};

}  // namespace
