// Gradients of the tensors from which kernels are computed: sums over all positions.

#pragma once

#include <memory>
#include <new>

#include "fused.h"

namespace {

// The work is divided into ranges of images and of groups. Each part has its own sums,
// which are added in order, so the result does not depend on which thread is faster.
template <class W>
struct Parts {
  typedef typename W::Real Real;
  const Problem& p;
  Size images, groups, count, columns, positions;
  std::unique_ptr<Real[]> span, features;

  Parts(const W& window, Size threads) : p(window.p) {
    // Each range of images needs memory for a matrix.
    images = smaller(p.images, smaller(threads, 8));
    groups = smaller(p.groups, (threads + images - 1) / images);
    images = smaller(p.images, (threads + groups - 1) / groups);
    count = images * groups;
    columns = p.groups * window.taps;
    positions = p.output_sizes[0] * p.output_sizes[1] * p.output_sizes[2];
    span.reset(new (std::nothrow) Real[images * (p.features + 1) * columns]);
    features.reset(new (std::nothrow) Real[(groups - 1) * features_size()]);
  }
  Size features_size() const { return p.images * positions * p.features; }
  // The sums of a range of images for a feature, or for the bias after the last one.
  Real* of_span(Size range, Size feature) const {
    return span.get() + (range * (p.features + 1) + feature) * columns;
  }
};

// Gradients of a strip's kernels, and of what they are computed from.
template <class W>
struct StripGradients {
  typedef typename W::Real Real;
  const Strip<W>& strip;
  const Problem& p;
  Matrix<Real> kernels, transposed, features, matrix, bias;

  StripGradients(const Strip<W>& strip, Size groups)
      : strip(strip),
        p(strip.p),
        kernels(strip.positions, groups * strip.window.taps),
        transposed(groups * strip.window.taps, p.features),
        features(strip.positions, p.features),
        matrix(p.features, groups * strip.window.taps),
        bias(1, groups * strip.window.taps) {}
  bool allocated() const {
    return kernels.data && transposed.data && features.data && matrix.data && bias.data;
  }

  void start() {
    matrix.clear(), bias.clear();
    for (Size r = 0; r < p.features; ++r)
      for (Size c = 0; c < strip.columns; ++c)
        transposed.row(c)[r] = strip.matrix.row(r)[c];
  }
  void add(Size position, Size count, Real* df, bool is_first) {
    static constexpr Real one = 1;
    const Real* f = strip.span.features + position * p.features;
    product(p.features, strip.columns, count, Factor<Real>{f, 1, p.features}, kernels,
            matrix.data, matrix.step, matrix);
    product(1, strip.columns, count, Factor<Real>{&one, 0, 0}, kernels, bias.data, 0,
            bias);
    features.clear();
    product(count, p.features, strip.columns,
            Factor<Real>{kernels.data, kernels.step, 1}, transposed, features.data,
            features.step, features);
    for (Size n = 0; n < count; ++n) {
      Real* to = df + (position + n) * p.features;
      const Real* from = features.row(n);
      for (Size r = 0; r < p.features; ++r) to[r] = is_first ? from[r] : to[r] + from[r];
    }
  }
  void write(const Parts<W>& parts, Size range) const {
    for (Size r = 0; r <= p.features; ++r)
      std::memcpy(parts.of_span(range, r) + strip.first,
                  r < p.features ? matrix.row(r) : bias.data,
                  strip.columns * sizeof(Real));
  }
};

// Adds the sums of all parts: those of a feature, of the bias, or of an image.
template <class W>
struct Total {
  typedef typename W::Real Real;
  const Parts<W>& parts;
  Real *df, *dmatrix, *dbias;

  Size count() const {
    return parts.p.features + 1 + (parts.groups > 1 ? parts.p.images : 0);
  }
  template <class Next>
  bool operator()(Next next) const {
    const Size features = parts.p.features, size = parts.positions * features;
    for (Size index; (index = next()) < count();) {
      if (index <= features) {
        Real* sum = index < features ? dmatrix + index * parts.columns : dbias;
        std::memset(sum, 0, parts.columns * sizeof(Real));
        for (Size range = 0; range < parts.images; ++range)
          add(sum, parts.of_span(range, index), parts.columns);
      } else {
        const Size place = (index - features - 1) * size;
        for (Size part = 1; part < parts.groups; ++part)
          add(df + place, parts.features.get() + (part - 1) * parts.features_size() + place,
              size);
      }
    }
    return true;
  }
  static void add(Real* to, const Real* from, Size count) {
    for (Size i = 0; i < count; ++i) to[i] += from[i];
  }
};

}  // namespace
