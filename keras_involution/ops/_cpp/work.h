// The work of each thread: tasks of some groups of some rows of one image.

#pragma once

#include "rows.h"

namespace {

// The part of the work that one task does: some groups of some rows of one image. They
// are few enough that their planes stay in the cache and that every thread has work.
// Neighboring groups stay together because their kernels share cache lines.
template <class W>
struct Tasks {
  const W& window;
  Size groups, rows, chunks, bands, count;

  Tasks(const W& window, Size threads, bool banded, Size most) : window(window) {
    const Problem& p = window.p;
    const Size wanted = 2 * threads;
    rows = p.output_sizes[1], bands = 1;
    while (banded && rows > 1 &&
           (plane() > plane_bytes || p.images * p.groups * bands < wanted))
      rows = (p.output_sizes[1] + bands) / (bands + 1), ++bands;
    bands = (p.output_sizes[1] + rows - 1) / rows;
    const Size fit = larger(1, cache_bytes / plane() / (banded ? 1 : 2));
    const Size fair = larger(1, p.groups * p.images * bands / wanted);
    groups = smaller(most, smaller(fit, fair));
    chunks = (p.groups + groups - 1) / groups;
    groups = (p.groups + chunks - 1) / chunks;
    count = p.images * chunks * bands;
  }
  Size plane() const {
    const Problem& p = window.p;
    return (p.input_sizes[0] + halo(p, 0)) * input_rows() *
           (p.input_sizes[2] + halo(p, 2)) * window.pixel() *
           Size(sizeof(typename W::Real));
  }
  static constexpr Size cache_bytes = Size(1) << 19, plane_bytes = Size(1) << 17;
  Size input_rows() const {
    return (rows - 1) * window.p.strides[1] + halo(window.p, 1) + 1;
  }
};

struct Task {
  Size image, group, groups, top, bottom;

  template <class W>
  Task(const Tasks<W>& all, Size index)
      : image(index / all.bands / all.chunks),
        group(index / all.bands % all.chunks * all.groups),
        groups(smaller(all.groups, all.window.p.groups - group)),
        top(index % all.bands * all.rows),
        bottom(smaller(top + all.rows, all.window.p.output_sizes[1])) {}
};

// The kernels of some groups of a row, in memory.
template <class W>
struct Stored {
  typedef typename W::Real Real;
  typedef const Real* Given;
  static constexpr Size rows = 1;
  const W& window;
  const Real *const k, *row = nullptr;
  const Row<W> buffer;
  Size group = 0;

  Stored(const W& window, const Real* k, Size) : window(window), k(k), buffer(window) {}
  bool allocated() const { return buffer.k; }
  void choose(Size first, Size) { group = first; }
  void make(Size image, Size d, Size h, Size) {
    row = k + window.p.k.row(image, group, d, h);
  }
  Weights<Real, false> of_row(Size, Size g) const {
    return stored(window, row + g * window.p.k.group, buffer.k);
  }
};

// Kernels are `Stored`, or computed in a `Strip`.
template <class W, class Kernels>
struct Forward {
  typedef typename W::Real Real;
  const W& window;
  const Tasks<W>& tasks;
  const Real* x;
  typename Kernels::Given given;
  Real* y;

  template <class Next>
  bool operator()(Next next) const {
    const Problem& p = window.p;
    Plane<W> plane(window, tasks.groups, tasks.input_rows());
    Row<W> buffer(window);
    Kernels kernels(window, given, tasks.groups);
    if (!plane.data || !buffer.y || !kernels.allocated()) return false;
    for (Size index; (index = next()) < tasks.count;) {
      const Task task(tasks, index);
      plane.first = task.top * p.strides[1] - padding(p, 1);
      plane.fill(x + p.x.row(task.image, task.group, 0, 0), task.groups);
      kernels.choose(task.group, task.groups);
      for (Size d = 0; d < p.output_sizes[0]; ++d)
        for (Size h = task.top; h < task.bottom; h += kernels.rows)
          rows(task, plane, kernels, buffer, d, h);
    }
    return true;
  }

 private:
  void rows(const Task& task, const Plane<W>& plane, Kernels& kernels, Row<W>& buffer,
            Size d, Size top) const {
    const Problem& p = window.p;
    const Size count = smaller(kernels.rows, task.bottom - top);
    kernels.make(task.image, d, top, count);
    for (Size i = 0, h = top; i < count; ++i, ++h)
      for (Size g = 0; g < task.groups; ++g)
        forward_row(plane,
                    plane.row(g, d * p.strides[0], (h - task.top) * p.strides[1]),
                    kernels.of_row(i, g),
                    y + p.y.row(task.image, task.group + g, d, h), buffer.y);
  }
};

// Both gradients, or the one that is not null.
template <class W>
struct Gradients {
  typedef typename W::Real Real;
  const W& window;
  const Tasks<W>& tasks;
  const Real *x, *k, *dy;
  Real *dx, *dk;

  template <class Next>
  bool operator()(Next next) const {
    const Problem& p = window.p;
    const Size rows = p.input_sizes[1] + halo(p, 1);
    Plane<W> inputs(window, tasks.groups, rows), sums(window, tasks.groups, rows);
    Row<W> buffer(window);
    if (!inputs.data || !sums.data || !buffer.y || !buffer.k) return false;
    const std::vector<Size> offsets = offsets_of_taps(inputs);
    for (Size index; (index = next()) < tasks.count;) {
      const Task task(tasks, index);
      if (dk) inputs.fill(x + p.x.row(task.image, task.group, 0, 0), task.groups);
      if (dx) sums.clear();
      for (Size d = 0; d < p.output_sizes[0]; ++d)
        for (Size h = 0; h < p.output_sizes[1]; ++h)
          for (Size g = 0; g < task.groups; ++g) {
            gather(buffer.y, window.pixel(),
                   dy + p.y.row(task.image, task.group + g, d, h), p.output_sizes[2],
                   p.y.space[2], window.channels(), p.y.minor);
            if (dx) add_to_inputs(task, sums, buffer, d, h, g);
            if (dk) of_kernels(task, inputs, offsets, buffer, d, h, g);
          }
      if (dx) sums.empty(dx + p.dx.row(task.image, task.group, 0, 0), task.groups);
    }
    return true;
  }

 private:
  void add_to_inputs(const Task& task, const Plane<W>& sums, Row<W>& buffer, Size d,
                     Size h, Size g) const {
    const Problem& p = window.p;
    const auto weights =
        stored(window, k + p.k.row(task.image, task.group + g, d, h), buffer.k);
    inputs_row(sums, sums.row(g, d * p.strides[0], h * p.strides[1]), weights,
               buffer.y);
  }

  void of_kernels(const Task& task, const Plane<W>& inputs,
                  const std::vector<Size>& offsets, Row<W>& buffer, Size d, Size h,
                  Size g) const {
    const Problem& p = window.p;
    Real* result = dk + p.dk.row(task.image, task.group + g, d, h);
    const bool direct = p.dk.minor == 1;  // otherwise the buffer, which is free again
    kernels_row(window, inputs.row(g, d * p.strides[0], h * p.strides[1]), offsets,
                buffer.y, direct ? result : buffer.k,
                direct ? p.dk.space[2] : window.taps);
    if (!direct)
      scatter(result, p.dk.space[2], p.dk.minor, buffer.k, window.taps,
              p.output_sizes[2], window.taps);
  }
};

}  // namespace
