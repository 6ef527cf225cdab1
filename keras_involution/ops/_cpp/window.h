// Sizes of an involution that are known at compile time, and sizes known at run time.

#pragma once

#include <cstdlib>
#include <cstring>

#include "contract.h"

namespace {

using contract::Problem;
using contract::Three;
typedef contract::Number Size;

#if defined(__AVX512F__)
constexpr Size register_bytes = 64, block = 8, registers = 32;
#elif defined(__AVX__)
constexpr Size register_bytes = 32, block = 6, registers = 16;
#elif defined(__aarch64__)
constexpr Size register_bytes = 16, block = 8, registers = 32;
#else
constexpr Size register_bytes = 16, block = 4, registers = 16;
#endif

constexpr Size smaller(Size a, Size b) { return a < b ? a : b; }
constexpr Size larger(Size a, Size b) { return a < b ? b : a; }
inline Size padding(const Problem& p, int axis) {
  return (p.kernel_size[axis] - 1) / 2 * p.dilation_rate[axis];
}
inline Size halo(const Problem& p, int axis) {
  return (p.kernel_size[axis] - 1) * p.dilation_rate[axis];
}

// A number of zero is known only at run time.
//   lanes    channels of one vector
//   vectors  vectors of one position
//   width    taps of a row of the window, which then lie side by side
//   stride   step between the windows of a row
template <class Real_, Size lanes_, Size vectors_, Size width_, Size stride_>
struct Window {
  typedef Real_ Real;
  static constexpr Size lanes = lanes_, vectors = vectors_;
  static constexpr Size width = width_, stride = stride_;
  typedef Real Vector __attribute__((vector_size(lanes * sizeof(Real))));

  const Problem& p;
  const Size taps;
  const Size some_channels, some_pixel;

  explicit Window(const Problem& p)
      : p(p),
        taps(p.kernel_size[0] * p.kernel_size[1] * p.kernel_size[2]),
        some_channels(p.channels),
        some_pixel((p.channels + lanes - 1) / lanes * lanes) {}

  Size channels() const { return vectors ? vectors * lanes : some_channels; }
  // Channels of a position in the padded copy.
  Size pixel() const { return vectors ? vectors * lanes : some_pixel; }
};

template <class Real, class Vector>
inline void load(Vector& v, const Real* from) {
  std::memcpy(&v, from, sizeof v);
}
template <class Real, class Vector>
inline void store(Real* to, Vector v) {
  std::memcpy(to, &v, sizeof v);
}

// Copies rows of `n` positions by `m` minor elements to and from the internal order.
template <class Real>
void gather(Real* to, Size pitch, const Real* from, Size n, Size step, Size m,
            Size minor) {
  if (minor == 1) {
    for (Size i = 0; i < n; ++i)
      std::memcpy(to + i * pitch, from + i * step, m * sizeof(Real));
  } else {
    for (Size j = 0; j < m; ++j)
      for (Size i = 0; i < n; ++i) to[i * pitch + j] = from[i * step + j * minor];
  }
}
template <class Real>
void scatter(Real* to, Size step, Size minor, const Real* from, Size pitch, Size n,
             Size m) {
  if (minor == 1) {
    for (Size i = 0; i < n; ++i)
      std::memcpy(to + i * step, from + i * pitch, m * sizeof(Real));
  } else {
    for (Size j = 0; j < m; ++j)
      for (Size i = 0; i < n; ++i) to[i * step + j * minor] = from[i * pitch + j];
  }
}

}  // namespace
