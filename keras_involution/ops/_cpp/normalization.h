// Batch normalization of rows of channels in float32, the sum and the ReLU after it, and
// the gradients.
//
// Each takes two passes over the rows. The sums of a block of rows, which fits into a
// cache, are in float32; those of blocks are combined in float64, always in the same
// order, so that results do not depend on the threads.

#pragma once

#include <cmath>
#include <memory>
#include <new>

#include "team.h"
#include "window.h"

namespace {

constexpr Size row_lanes = register_bytes / Size(sizeof(float));
typedef float Lanes __attribute__((vector_size(register_bytes)));

// From and to memory of any alignment.
template <class Value>
Value at(const float* place) {
  Value value;
  std::memcpy(&value, place, sizeof(Value));
  return value;
}
template <class Value>
void put(float* place, Value value) {
  std::memcpy(place, &value, sizeof(Value));
}
template <class Value>
void add(float* place, Value value) {
  put(place, at<Value>(place) + value);
}

// Calls `body(value, channel)` for vectors of channels, then for those that are left.
template <class Body>
void for_channels(Size channels, Body body) {
  Size c = 0;
  for (; c + row_lanes <= channels; c += row_lanes) body(Lanes(), c);
  for (; c < channels; ++c) body(float(), c);
}

struct Rows {
  Size count, channels;

  Size block() const { return larger(32, 16384 / channels); }
  Size pieces() const { return smaller(32, (count + block() - 1) / block()); }
  Size begin(Size piece) const { return count * piece / pieces(); }

  // Calls `body(first, last)` for the blocks of a piece.
  template <class Body>
  void for_blocks(Size piece, Body body) const {
    const Size end = begin(piece + 1);
    for (Size first = begin(piece); first < end; first += block())
      body(first, smaller(first + block(), end));
  }

  // Calls `body(value, channel, place)` for all values of some rows.
  template <class Body>
  void for_values(Size first, Size last, Body body) const {
    for (Size row = first; row < last; ++row)
      for_channels(channels, [&](auto value, Size c) {
        body(value, c, row * channels + c);
      });
  }
};

// A pass over all values, the pieces shared by the threads.
template <class Next, class Body>
bool for_pieces(const Rows& rows, Next next, Body body) {
  for (Size piece; (piece = next()) < rows.pieces();)
    rows.for_values(rows.begin(piece), rows.begin(piece + 1), body);
  return true;
}

template <class Number>
std::unique_ptr<Number[]> zeros(Size count) {
  return std::unique_ptr<Number[]>(new (std::nothrow) Number[count]());
}

// Count, mean and sum of squared differences from it, for each channel.
struct Moments {
  double count = 0;
  std::unique_ptr<double[]> mean, squares;

  explicit Moments(Size channels)
      : mean(zeros<double>(channels)), squares(zeros<double>(channels)) {}
  explicit operator bool() const { return mean && squares; }

  template <class Real>
  void add(double more, const Real* its_mean, const Real* its_squares, Size channels) {
    const double total = count + more;
    for (Size c = 0; c < channels; ++c) {
      const double delta = its_mean[c] - mean[c];
      mean[c] += delta * more / total;
      squares[c] += its_squares[c] + delta * delta * count * more / total;
    }
    count = total;
  }
};

// The moments of each piece.
struct Measure {
  const Rows& rows;
  const float* x;
  std::unique_ptr<std::unique_ptr<Moments>[]>& found;

  template <class Next>
  bool operator()(Next next) const {
    const Size channels = rows.channels;
    auto mean = zeros<float>(channels), squares = zeros<float>(channels);
    if (!mean || !squares) return false;
    for (Size piece; (piece = next()) < rows.pieces();) {
      std::unique_ptr<Moments> sums(new (std::nothrow) Moments(channels));
      if (!sums || !*sums) return false;
      rows.for_blocks(piece, [&](Size first, Size last) {
        block(first, last, mean.get(), squares.get());
        sums->add(double(last - first), mean.get(), squares.get(), channels);
      });
      found[piece] = std::move(sums);
    }
    return true;
  }

 private:
  void block(Size first, Size last, float* mean, float* squares) const {
    const float share = 1.0f / float(last - first);
    std::memset(mean, 0, rows.channels * sizeof(float));
    std::memset(squares, 0, rows.channels * sizeof(float));
    rows.for_values(first, last, [&](auto value, Size c, Size place) {
      typedef decltype(value) Value;
      add(mean + c, at<Value>(x + place));
    });
    for (Size c = 0; c < rows.channels; ++c) mean[c] *= share;
    rows.for_values(first, last, [&](auto value, Size c, Size place) {
      typedef decltype(value) Value;
      const Value difference = at<Value>(x + place) - at<Value>(mean + c);
      add<Value>(squares + c, difference * difference);
    });
  }
};

struct Normalize {
  const Rows& rows;
  const float *x, *shortcut, *mean, *factor, *offset;
  float* y;
  bool relu;

  template <class Next>
  bool operator()(Next next) const {
    return for_pieces(rows, next, [&](auto value, Size c, Size place) {
      typedef decltype(value) Value;
      const Value difference = at<Value>(x + place) - at<Value>(mean + c);
      Value sum = difference * at<Value>(factor + c) + at<Value>(offset + c);
      if (shortcut) sum += at<Value>(shortcut + place);
      // NaN stays NaN.
      if (relu) sum = sum < Value() ? Value() : sum;
      put(y + place, sum);
    });
  }
};

// The upstream gradient behind the ReLU, whose outputs are `y`.
template <class Value>
Value behind_relu(const float* dy, const float* y, Size place) {
  const Value gradient = at<Value>(dy + place);
  if (!y) return gradient;
  return at<Value>(y + place) > Value() ? gradient : Value();
}

// For each piece, the sums of the upstream gradient, and of it times the difference of
// the inputs from their mean. Writes the gradient of the shortcut if it is not null.
struct MeasureGradients {
  const Rows& rows;
  const float *x, *y, *dy, *mean;
  float* dshortcut;
  double* found;

  template <class Next>
  bool operator()(Next next) const {
    const Size channels = rows.channels;
    auto sums = zeros<float>(2 * channels);
    if (!sums) return false;
    for (Size piece; (piece = next()) < rows.pieces();) {
      double* totals = found + 2 * channels * piece;
      rows.for_blocks(piece, [&](Size first, Size last) {
        std::memset(sums.get(), 0, 2 * channels * sizeof(float));
        block(first, last, sums.get());
        for (Size i = 0; i < 2 * channels; ++i) totals[i] += sums[i];
      });
    }
    return true;
  }

 private:
  void block(Size first, Size last, float* sums) const {
    float* products = sums + rows.channels;
    rows.for_values(first, last, [&](auto value, Size c, Size place) {
      typedef decltype(value) Value;
      const Value gradient = behind_relu<Value>(dy, y, place);
      add(sums + c, gradient);
      add<Value>(products + c, gradient * (at<Value>(x + place) - at<Value>(mean + c)));
      if (dshortcut) put(dshortcut + place, gradient);
    });
  }
};

// dx = factor * (gradient - constant - (x - mean) * slope)
struct GradientsOfInputs {
  const Rows& rows;
  const float *x, *y, *dy, *mean, *factor, *constant, *slope;
  float* dx;

  template <class Next>
  bool operator()(Next next) const {
    return for_pieces(rows, next, [&](auto value, Size c, Size place) {
      typedef decltype(value) Value;
      const Value difference = at<Value>(x + place) - at<Value>(mean + c);
      const Value gradient = behind_relu<Value>(dy, y, place);
      put<Value>(dx + place, at<Value>(factor + c) * (gradient - at<Value>(constant + c) -
                                                      difference * at<Value>(slope + c)));
    });
  }
};

int normalized(const Rows& rows, Size threads, bool relu, double epsilon,
               const float* x, const float* shortcut, const float* scale,
               const float* offset, float* y, float* mean, float* variance) {
  const Size channels = rows.channels;
  std::unique_ptr<std::unique_ptr<Moments>[]> found(
      new (std::nothrow) std::unique_ptr<Moments>[rows.pieces()]());
  Moments all(channels);
  auto factor = zeros<float>(channels), shift = zeros<float>(channels);
  if (!found || !all || !factor || !shift) return 1;
  if (in_team(threads, rows.pieces(), Measure{rows, x, found})) return 1;
  for (Size piece = 0; piece < rows.pieces(); ++piece) {
    const Moments& part = *found[piece];
    all.add(part.count, part.mean.get(), part.squares.get(), channels);
  }
  for (Size c = 0; c < channels; ++c) {
    mean[c] = float(all.mean[c]);
    variance[c] = float(all.squares[c] / all.count);
    factor[c] = float((scale ? scale[c] : 1.0) / std::sqrt(variance[c] + epsilon));
    if (offset) shift[c] = offset[c];
  }
  return in_team(
      threads, rows.pieces(),
      Normalize{rows, x, shortcut, mean, factor.get(), shift.get(), y, relu});
}

// `y` of null means that there is no ReLU.
int normalized_gradients(const Rows& rows, Size threads, double epsilon, const float* x,
                         const float* y, const float* dy, const float* scale,
                         const float* mean, const float* variance, float* dx,
                         float* dshortcut, float* dscale, float* doffset) {
  const Size channels = rows.channels, pieces = rows.pieces();
  auto found = zeros<double>(2 * channels * pieces);
  auto values = zeros<float>(3 * channels);
  if (!found || !values) return 1;
  if (in_team(threads, pieces,
              MeasureGradients{rows, x, y, dy, mean, dshortcut, found.get()}))
    return 1;
  float *factor = values.get(), *constant = factor + channels, *slope = constant + channels;
  for (Size c = 0; c < channels; ++c) {
    double sum = 0, product = 0;
    for (Size piece = 0; piece < pieces; ++piece) {
      sum += found[2 * channels * piece + c];
      product += found[2 * channels * piece + channels + c];
    }
    const double inverse = 1 / std::sqrt(variance[c] + epsilon);
    doffset[c] = float(sum);
    dscale[c] = float(product * inverse);
    factor[c] = float((scale ? scale[c] : 1.0) * inverse);
    constant[c] = float(sum / double(rows.count));
    slope[c] = float(product * inverse * inverse / double(rows.count));
  }
  // Written by the first pass, the gradient of the shortcut is that behind the ReLU.
  const float* gradient = dshortcut ? dshortcut : dy;
  return in_team(threads, pieces,
                 GradientsOfInputs{rows, x, dshortcut ? nullptr : y, gradient, mean,
                                   factor, constant, slope, dx});
}

}  // namespace
