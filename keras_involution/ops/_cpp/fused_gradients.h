// The gradients of an involution whose kernels are computed in the cache: the kernels
// are computed again, and their gradients are not written to memory either.

#pragma once

#include "span_gradients.h"

namespace {

template <class W>
struct FusedGradients {
  typedef typename W::Real Real;
  const W& window;
  const Parts<W>& parts;
  const Real* x;
  const Span<Real>& span;
  const Real* dy;
  Real *dx, *df;

  template <class Next>
  bool operator()(Next next) const {
    Worker worker(*this);
    if (!worker.allocated()) return false;
    for (Size index; (index = next()) < parts.count;) worker.part(index);
    return true;
  }

 private:
  // The memory of a thread.
  struct Worker {
    const FusedGradients& all;
    const W& window;
    const Problem& p;
    const Size most;
    Plane<W> inputs, sums;
    Row<W> buffer;
    Strip<W> strip;
    StripGradients<W> gradients;
    const std::vector<Size> offsets;

    explicit Worker(const FusedGradients& all)
        : all(all),
          window(all.window),
          p(window.p),
          most(smaller(Strip<W>::most_groups(window),
                       (p.groups + all.parts.groups - 1) / all.parts.groups)),
          inputs(window, most, p.input_sizes[1] + halo(p, 1)),
          sums(window, most, p.input_sizes[1] + halo(p, 1)),
          buffer(window),
          strip(window, all.span, most),
          gradients(strip, most),
          offsets(offsets_of_taps(inputs)) {}
    bool allocated() const {
      return inputs.data && sums.data && buffer.y && strip.allocated() &&
             gradients.allocated();
    }

    void part(Size index) {
      const Parts<W>& parts = all.parts;
      const Size range = index / parts.groups, part = index % parts.groups;
      const Size start = p.groups * part / parts.groups;
      const Size end = p.groups * (part + 1) / parts.groups;
      Real* df =
          part ? parts.features.get() + (part - 1) * parts.features_size() : all.df;
      for (Size group = start, groups; group < end; group += groups) {
        groups = smaller(most, end - group);
        strip.choose(group, groups);
        gradients.start();
        for (Size image = p.images * range / parts.images;
             image < p.images * (range + 1) / parts.images; ++image)
          of_image(image, group, groups, df, group == start);
        gradients.write(parts, range);
      }
    }
    void of_image(Size image, Size group, Size groups, Real* df, bool is_first) {
      inputs.fill(all.x + p.x.row(image, group, 0, 0), groups);
      sums.clear();
      for (Size d = 0; d < p.output_sizes[0]; ++d)
        for (Size h = 0; h < p.output_sizes[1]; h += strip.rows) {
          const Size rows = smaller(strip.rows, p.output_sizes[1] - h);
          strip.make(image, d, h, rows);
          for (Size i = 0; i < rows; ++i)
            for (Size g = 0; g < groups; ++g)
              of_row(i, g, d, h + i, all.dy + p.y.row(image, group + g, d, h + i));
          gradients.add(strip.position(image, d, h), rows * p.output_sizes[2], df,
                        is_first);
        }
      sums.empty(all.dx + p.dx.row(image, group, 0, 0), groups);
    }
    void of_row(Size i, Size g, Size d, Size h, const Real* dy) {
      gather(buffer.y, window.pixel(), dy, p.output_sizes[2], p.y.space[2],
             window.channels(), p.y.minor);
      d *= p.strides[0], h *= p.strides[1];
      inputs_row(sums, sums.row(g, d, h), strip.of_row(i, g), buffer.y);
      kernels_row(window, inputs.row(g, d, h), offsets, buffer.y,
                  gradients.kernels.row(i * p.output_sizes[2]) + g * window.taps,
                  gradients.kernels.step);
    }
  };
};

}  // namespace
