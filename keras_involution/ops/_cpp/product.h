// Products of small matrices in the cache.

#pragma once

#include "blocks.h"

namespace {

// A matrix whose rows are padded to whole vectors. The number of vectors is odd, because
// rows at a distance of a power of two would share few places of the cache.
template <class Real>
struct Matrix {
  static constexpr Size lanes = register_bytes / sizeof(Real);
  const Size rows, step;
  Real* const data;

  Matrix(Size rows, Size columns)
      : rows(rows),
        step(((columns + lanes - 1) / lanes | 1) * lanes),
        data(static_cast<Real*>(std::aligned_alloc(64, bytes()))) {
    if (data) clear();
  }
  Matrix(const Matrix&) = delete;
  ~Matrix() { std::free(data); }
  Size bytes() const {
    return larger(64, (rows * step * Size(sizeof(Real)) + 63) / 64 * 64);
  }
  void clear() { std::memset(data, 0, bytes()); }
  Real* row(Size r) const { return data + r * step; }
};

// Where the elements of a factor are.
template <class Real>
struct Factor {
  const Real* at;
  Size row, column;
};

template <class Real, int N, int V>
void product_block(Size depth, Factor<Real> a, const Real* b, Size b_step,
                   const Real* start, Size start_step, Real* to, Size to_step) {
  constexpr Size lanes = Matrix<Real>::lanes;
  typedef Real Vector __attribute__((vector_size(register_bytes)));
  Vector sum[N][V] = {};
  for (Size i = 0; i < depth; ++i) {
    Vector row[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) load(row[v], b + i * b_step + v * lanes);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        sum[n][v] += a.at[n * a.row + i * a.column] * row[v];
  }
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Vector first;
      load(first, start + n * start_step + v * lanes);
      store(to + n * to_step + v * lanes, first + sum[n][v]);
    }
}

// `to = start + a @ b`; the rows of `start` consist of whole vectors.
template <class Real>
void product(Size rows, Size columns, Size depth, Factor<Real> a, const Matrix<Real>& b,
             const Real* start, Size start_step, const Matrix<Real>& to) {
  constexpr Size lanes = Matrix<Real>::lanes;
  // The most vectors for which all sums of a block, a row of b and a number of a fit
  // into registers.
  constexpr int most = (registers - 1) / (block + 1);
  static_assert(most == 2 || most == 3);
  const Size vectors = (columns + lanes - 1) / lanes;
  for (Size pieces = (vectors + most - 1) / most, v = 0; pieces; --pieces) {
    const Size count = (vectors - v + pieces - 1) / pieces, first = v * lanes;
    in_blocks(rows, [&](auto n, Size r) {
      auto run = [&](auto width) {
        product_block<Real, n.value, width.value>(
            depth, {a.at + r * a.row, a.row, a.column}, b.data + first, b.step,
            start + r * start_step + first, start_step,
            to.row(r) + first, to.step);
      };
      if (count == 1) run(Count<1>());
      else if (count == 2) run(Count<2>());
      else run(Count<most>());
    });
    v += count;
  }
}

}  // namespace
