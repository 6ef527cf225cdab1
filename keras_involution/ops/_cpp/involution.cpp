// Involution and its gradients on a CPU. Compiled once for every window, stride,
// dilation and number of channels of a group (the macros), for any sizes.
//
// The channels of a group are the lanes of vectors, and its inputs lie in a padded
// copy that fits the cache, so that a tap is one multiply-add of a vector and a
// number: no patch is written anywhere. A row is done in blocks of up to eight
// outputs, whose sums stay in registers while a row of the window goes by.

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

typedef ptrdiff_t Size;
typedef REAL Real;

namespace {

constexpr Size kernel[] = {KERNEL_SIZE}, stride[] = {STRIDES}, rate[] = {DILATION_RATE};
constexpr Size channels = GROUP_CHANNELS;  // of one group
constexpr Size taps = kernel[0] * kernel[1] * kernel[2];

#if defined(__AVX512F__)
constexpr Size register_bytes = 64, block = 8, registers = 32;
#elif defined(__AVX__)
constexpr Size register_bytes = 32, block = 6, registers = 16;
#elif defined(__aarch64__)
constexpr Size register_bytes = 16, block = 8, registers = 32;
#else
constexpr Size register_bytes = 16, block = 4, registers = 16;
#endif

constexpr Size lanes_for(Size wanted) {
  Size lanes = 1;
  while (lanes < wanted && lanes < register_bytes / Size(sizeof(Real))) lanes *= 2;
  return lanes;
}
constexpr Size lanes = lanes_for(channels);
constexpr Size pixel = (channels + lanes - 1) / lanes * lanes;  // in the padded copy
typedef Real Vector __attribute__((vector_size(lanes * sizeof(Real))));

inline Vector load(const Real* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void store(Real* to, Vector v) { std::memcpy(to, &v, sizeof v); }

constexpr Size padding(int axis) { return (kernel[axis] - 1) / 2 * rate[axis]; }
constexpr Size halo(int axis) { return (kernel[axis] - 1) * rate[axis]; }
inline Size smaller(Size a, Size b) { return a < b ? a : b; }
inline Size larger(Size a, Size b) { return a < b ? b : a; }

// How a tensor lies in memory: steps between images, groups, the minor elements of a
// group (channels or taps), and positions.
struct Layout {
  Size image, group, minor, space[3];

  Size row(Size i, Size g, Size d, Size h) const {
    return i * image + g * group + d * space[0] + h * space[1];
  }
};

struct Problem {
  Size images, groups, in[3], out[3], threads;
  Layout x, k, y, dx, dk;
};

// Rows of `n` positions by `m` minor elements, to and from our own order.
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

// A padded copy of some groups of one image: `rows` of its rows from `first` on, as
// [group][depth][row][position][channel].
struct Plane {
  Size groups, depth, rows, width, first;
  Real* data;

  Plane(const Problem& p, Size groups, Size rows)
      : groups(groups),
        depth(p.in[0] + halo(0)),
        rows(rows),
        width(p.in[2] + halo(2)),
        first(-padding(1)),
        data(static_cast<Real*>(std::aligned_alloc(64, bytes()))) {
    if (data) clear();
  }
  ~Plane() { std::free(data); }
  Size bytes() const {
    return (groups * depth * rows * width * pixel * sizeof(Real) + 63) / 64 * 64;
  }
  void clear() { std::memset(data, 0, bytes()); }
  Real* row(Size g, Size d, Size h) const {
    return data + ((g * depth + d) * rows + h) * width * pixel;
  }

  void fill(const Problem& p, const Real* x, Size count) {
    for (Size d = 0; d < p.in[0]; ++d)
      for (Size r = 0; r < rows; ++r) {
        Size h = r + first;
        Real* to = row(0, d + padding(0), r) + padding(2) * pixel;
        const Size group = row(1, 0, 0) - row(0, 0, 0);
        if (h < 0 || h >= p.in[1])
          for (Size g = 0; g < count; ++g)
            std::memset(to + g * group, 0, p.in[2] * pixel * sizeof(Real));
        else if (p.x.minor == 1)
          for (Size i = 0; i < p.in[2]; ++i)
            for (Size g = 0; g < count; ++g)
              std::memcpy(to + g * group + i * pixel,
                          x + p.x.row(0, g, d, h) + i * p.x.space[2],
                          channels * sizeof(Real));
        else
          for (Size g = 0; g < count; ++g)
            gather(to + g * group, pixel, x + p.x.row(0, g, d, h), p.in[2],
                   p.x.space[2], channels, p.x.minor);
      }
  }
  void empty(const Problem& p, Real* dx, Size count) const {
    for (Size d = 0; d < p.in[0]; ++d)
      for (Size h = 0; h < p.in[1]; ++h)
        for (Size g = 0; g < count; ++g)
          scatter(dx + p.dx.row(0, g, d, h), p.dx.space[2], p.dx.minor,
                  row(g, d + padding(0), h - first) + padding(2) * pixel, pixel,
                  p.in[2], channels);
  }
  Size row_step() const { return rate[1] * width * pixel; }
  Size slice_step() const { return rate[0] * rows * width * pixel; }
};

template <int N>
struct Count {
  static constexpr int value = N;
};

// Calls `body(Count<n>, start)` on nearly equal pieces of a row.
template <class Body>
void in_blocks(Size width, Body body) {
  for (Size pieces = (width + block - 1) / block, start = 0; pieces; --pieces) {
    Size n = (width - start + pieces - 1) / pieces;
    switch (n) {
      case 1: body(Count<1>(), start); break;
      case 2: body(Count<2>(), start); break;
      case 3: body(Count<3>(), start); break;
      case 4: body(Count<4>(), start); break;
      case 5: body(Count<5>(), start); break;
      case 6: body(Count<6>(), start); break;
      case 7: body(Count<7>(), start); break;
      case 8: body(Count<8>(), start); break;
    }
    start += n;
  }
}

// The kernels after the block at hand: far too many for the cache, and each row of a
// group's a stride away from the next, which the hardware does not foresee.
template <int N>
void prefetch(const Real* k, Size k_step) {
  for (Size n = block; n < block + N; ++n)
    for (Size tap = 0; tap < taps; tap += 64 / Size(sizeof(Real)))
      __builtin_prefetch(k + n * k_step + tap);
}

// How many vectors of a position are at work at once: as many as leave all sums of a
// block in registers, with a position of the inputs and a weight.
constexpr Size together(Size outputs) {
  Size all = pixel / lanes, some = all;
  while (some > 1 && (all % some || (outputs + 1) * some + 1 > registers)) --some;
  return some;
}

// Positions that a row of the window of a block of outputs covers. Short ones are
// written out, so that each position is read once and used by every output it meets.
template <int N>
constexpr Size span = (N - 1) * stride[2] + (kernel[2] - 1) * rate[2] + 1;
constexpr Size written_out = 32;

// The tap through which output n of a block reads position i, negative if none.
constexpr Size tap_of(Size i, Size n) {
  const Size way = i - n * stride[2];
  return way >= 0 && way % rate[2] == 0 && way / rate[2] < kernel[2] ? way / rate[2]
                                                                     : -1;
}

template <Size count>
struct Pixel {
  Vector at[count];

  static Pixel read(const Real* from) {
    Pixel p;
#pragma GCC unroll 16
    for (Size u = 0; u < count; ++u) p.at[u] = load(from + u * lanes);
    return p;
  }
  void write(Real* to) const {
#pragma GCC unroll 16
    for (Size u = 0; u < count; ++u) store(to + u * lanes, at[u]);
  }
  void add(Real weight, const Pixel& other) {
#pragma GCC unroll 16
    for (Size u = 0; u < count; ++u) at[u] += weight * other.at[u];
  }
};

template <int N>
void forward_block(const Plane& plane, const Real* x, const Real* k, Size k_step,
                   Real* y, Size y_step) {
  typedef Pixel<together(N)> Part;
  const Real* weight[N];
  for (Size n = 0; n < N; ++n) weight[n] = k + n * k_step;
  for (Size v = 0; v < pixel; v += together(N) * lanes) {
    Part sum[N] = {};
    Size tap = 0;
    for (Size d = 0; d < kernel[0]; ++d)
      for (Size h = 0; h < kernel[1]; ++h, tap += kernel[2]) {
        const Real* row = x + d * plane.slice_step() + h * plane.row_step() + v;
        if constexpr (span<N> <= written_out) {
#pragma GCC unroll 32
          for (Size i = 0; i < span<N>; ++i) {
            const Part input = Part::read(row + i * pixel);
#pragma GCC unroll 8
            for (Size n = 0; n < N; ++n)
              if (tap_of(i, n) >= 0) sum[n].add(weight[n][tap + tap_of(i, n)], input);
          }
        } else {
          for (Size w = 0; w < kernel[2]; ++w)
#pragma GCC unroll 8
            for (Size n = 0; n < N; ++n)
              sum[n].add(weight[n][tap + w],
                         Part::read(row + (n * stride[2] + w * rate[2]) * pixel));
        }
      }
#pragma GCC unroll 8
    for (Size n = 0; n < N; ++n) sum[n].write(y + n * y_step + v);
  }
}

// Adds `k * dy` to the inputs that each output has read.
template <int N>
void inputs_block(const Plane& plane, Real* dx, const Real* k, Size k_step,
                  const Real* dy) {
  typedef Pixel<together(N)> Part;
  const Real* weight[N];
  for (Size n = 0; n < N; ++n) weight[n] = k + n * k_step;
  for (Size v = 0; v < pixel; v += together(N) * lanes) {
    Part upstream[N];
#pragma GCC unroll 8
    for (Size n = 0; n < N; ++n) upstream[n] = Part::read(dy + n * pixel + v);
    Size tap = 0;
    for (Size d = 0; d < kernel[0]; ++d)
      for (Size h = 0; h < kernel[1]; ++h, tap += kernel[2]) {
        Real* row = dx + d * plane.slice_step() + h * plane.row_step() + v;
        if constexpr (span<N> <= written_out) {
#pragma GCC unroll 32
          for (Size i = 0; i < span<N>; ++i) {
            Part sum = Part::read(row + i * pixel);
#pragma GCC unroll 8
            for (Size n = 0; n < N; ++n)
              if (tap_of(i, n) >= 0)
                sum.add(weight[n][tap + tap_of(i, n)], upstream[n]);
            sum.write(row + i * pixel);
          }
        } else {
          for (Size w = 0; w < kernel[2]; ++w)
#pragma GCC unroll 8
            for (Size n = 0; n < N; ++n) {
              Real* at = row + (n * stride[2] + w * rate[2]) * pixel;
              Part sum = Part::read(at);
              sum.add(weight[n][tap + w], upstream[n]);
              sum.write(at);
            }
        }
      }
  }
}

// Halves the lanes that each of `sums` sums is spread over; a's sums, then b's.
template <Size sums, Size... lane>
Vector merge(Vector a, Vector b, std::integer_sequence<Size, lane...>) {
  constexpr Size half = lanes / (2 * sums);
  return __builtin_shufflevector(
             a, b, (lane / half / sums * lanes + lane / half % sums * 2 * half +
                    lane % half)...) +
         __builtin_shufflevector(
             a, b, (lane / half / sums * lanes + lane / half % sums * 2 * half +
                    lane % half + half)...);
}

// `count` neighbouring taps' products, each summed over lanes / count of its lanes.
template <Size count>
Vector products(const Real* x, const Size* offset, const Real* dy) {
  if constexpr (count == 1) {
    Vector product = load(x + *offset) * load(dy);
    for (Size v = lanes; v < pixel; v += lanes)
      product += load(x + *offset + v) * load(dy + v);
    return product;
  } else {
    constexpr Size half = count / 2;
    return merge<half>(products<half>(x, offset, dy),
                       products<half>(x, offset + half, dy),
                       std::make_integer_sequence<Size, lanes>());
  }
}
template <Size sums>
Vector fold(Vector v) {
  if constexpr (sums == lanes)
    return v;
  else
    return fold<2 * sums>(
        merge<sums>(v, v, std::make_integer_sequence<Size, lanes>()));
}

// The gradient of one position's kernel, `count` taps at a time, then fewer.
template <Size count>
void kernel_gradient(Size tap, const Real* x, const Size* offset, const Real* dy,
                     Real* dk) {
  for (; tap + count <= taps; tap += count) {
    Vector sum = fold<count>(products<count>(x, offset + tap, dy));
    std::memcpy(dk + tap, &sum, count * sizeof(Real));
  }
  if constexpr (count > 1) kernel_gradient<count / 2>(tap, x, offset, dy, dk);
}

// One row of outputs and kernels, in our own order: [position][channel or tap].
struct Row {
  Real *y, *k;

  explicit Row(const Problem& p)
      : y(static_cast<Real*>(std::calloc(p.out[2] * pixel, sizeof(Real)))),
        k(static_cast<Real*>(std::malloc(p.out[2] * taps * sizeof(Real)))) {}
  ~Row() {
    std::free(y);
    std::free(k);
  }
};

// Which part of the work one task does: some groups of some rows of one image, few
// enough that its planes stay in the cache and that every thread has work, and
// neighbouring groups together because their kernels share lines of the cache.
struct Tasks {
  Size groups, rows, chunks, bands, count;

  Tasks(const Problem& p, bool banded) {
    rows = p.out[1], bands = 1;
    while (banded && rows > 1 &&
           (plane(p) > plane_bytes || p.images * p.groups * bands < 2 * p.threads))
      rows = (p.out[1] + bands) / (bands + 1), ++bands;
    bands = (p.out[1] + rows - 1) / rows;
    Size fit = larger(1, cache_bytes / plane(p) / (banded ? 1 : 2));
    Size fair = larger(1, p.groups * p.images * bands / (2 * p.threads));
    groups = smaller(p.groups, smaller(fit, fair));
    chunks = (p.groups + groups - 1) / groups;
    groups = (p.groups + chunks - 1) / chunks;
    count = p.images * chunks * bands;
  }
  Size plane(const Problem& p) const {
    return (p.in[0] + halo(0)) * input_rows() * (p.in[2] + halo(2)) * pixel *
           Size(sizeof(Real));
  }
  static constexpr Size cache_bytes = Size(1) << 19, plane_bytes = Size(1) << 17;
  Size input_rows() const { return (rows - 1) * stride[1] + halo(1) + 1; }
};

struct Task {
  Size image, group, groups, top, bottom;

  Task(const Tasks& all, const Problem& p, Size index)
      : image(index / all.bands / all.chunks),
        group(index / all.bands % all.chunks * all.groups),
        groups(smaller(all.groups, p.groups - group)),
        top(index % all.bands * all.rows),
        bottom(smaller(top + all.rows, p.out[1])) {}
};

typedef void Team(void (*part)(void*), void* work, Size threads);

void team_of_openmp(void (*part)(void*), void* work, Size threads) {
#pragma omp parallel num_threads(threads)
  part(work);
}

template <class Next>
bool forward_part(const Problem& p, const Tasks& tasks, const Real* x, const Real* k,
                  Real* y, Next next) {
  Plane plane(p, tasks.groups, tasks.input_rows());
  Row buffer(p);
  if (!plane.data || !buffer.y || !buffer.k) return false;
  for (Size index; (index = next()) < tasks.count;) {
    const Task task(tasks, p, index);
    plane.first = task.top * stride[1] - padding(1);
    plane.fill(p, x + p.x.row(task.image, task.group, 0, 0), task.groups);
    auto row = [&](Size d, Size h, Size g) {
      const Real* weight = k + p.k.row(task.image, task.group + g, d, h);
      Size step = p.k.space[2];
      if (p.k.minor != 1) {
        gather(buffer.k, taps, weight, p.out[2], step, taps, p.k.minor);
        weight = buffer.k, step = taps;
      }
      const Real* window = plane.row(g, d * stride[0], (h - task.top) * stride[1]);
      Real* result = y + p.y.row(task.image, task.group + g, d, h);
      const bool direct = p.y.minor == 1 && channels == pixel;
      Real* to = direct ? result : buffer.y;
      const Size to_step = direct ? p.y.space[2] : pixel;
      in_blocks(p.out[2], [&](auto count, Size w) {
        prefetch<count.value>(weight + w * step, step);
        forward_block<count.value>(plane, window + w * stride[2] * pixel,
                                   weight + w * step, step, to + w * to_step,
                                   to_step);
      });
      if (!direct)
        scatter(result, p.y.space[2], p.y.minor, buffer.y, pixel, p.out[2],
                channels);
    };
    for (Size d = 0; d < p.out[0]; ++d)
      for (Size h = task.top; h < task.bottom; ++h)
        for (Size g = 0; g < task.groups; ++g) row(d, h, g);
  }
  return true;
}

// Both gradients, or the one that is not null.
template <class Next>
bool gradients_part(const Problem& p, const Tasks& tasks, const Real* x,
                    const Real* k, const Real* dy, Real* dx, Real* dk, Next next) {
  const Size rows = p.in[1] + halo(1);
  Plane inputs(p, tasks.groups, rows), sums(p, tasks.groups, rows);
  Row buffer(p);
  if (!inputs.data || !sums.data || !buffer.y || !buffer.k) return false;
  Size offset[taps], tap = 0;
  for (Size d = 0; d < kernel[0]; ++d)
    for (Size h = 0; h < kernel[1]; ++h)
      for (Size w = 0; w < kernel[2]; ++w)
        offset[tap++] =
            d * inputs.slice_step() + h * inputs.row_step() + w * rate[2] * pixel;
  for (Size index; (index = next()) < tasks.count;) {
    const Task task(tasks, p, index);
    if (dk) inputs.fill(p, x + p.x.row(task.image, task.group, 0, 0), task.groups);
    if (dx) sums.clear();
    auto row = [&](Size d, Size h, Size g) {
      gather(buffer.y, pixel, dy + p.y.row(task.image, task.group + g, d, h),
             p.out[2], p.y.space[2], channels, p.y.minor);
      if (dx) {
        const Real* weight = k + p.k.row(task.image, task.group + g, d, h);
        Size step = p.k.space[2];
        if (p.k.minor != 1) {
          gather(buffer.k, taps, weight, p.out[2], step, taps, p.k.minor);
          weight = buffer.k, step = taps;
        }
        Real* sum = sums.row(g, d * stride[0], h * stride[1]);
        in_blocks(p.out[2], [&](auto count, Size w) {
          prefetch<count.value>(weight + w * step, step);
          inputs_block<count.value>(sums, sum + w * stride[2] * pixel,
                                    weight + w * step, step, buffer.y + w * pixel);
        });
      }
      if (!dk) return;
      const Real* window = inputs.row(g, d * stride[0], h * stride[1]);
      Real* result = dk + p.dk.row(task.image, task.group + g, d, h);
      const bool direct = p.dk.minor == 1;  // else the buffer, free again by now
      for (Size w = 0; w < p.out[2]; ++w)
        kernel_gradient<lanes>(
            0, window + w * stride[2] * pixel, offset, buffer.y + w * pixel,
            direct ? result + w * p.dk.space[2] : buffer.k + w * taps);
      if (!direct)
        scatter(result, p.dk.space[2], p.dk.minor, buffer.k, taps, p.out[2], taps);
    };
    for (Size d = 0; d < p.out[0]; ++d)
      for (Size h = 0; h < p.out[1]; ++h)
        for (Size g = 0; g < task.groups; ++g) row(d, h, g);
    if (dx) sums.empty(p, dx + p.dx.row(task.image, task.group, 0, 0), task.groups);
  }
  return true;
}

}  // namespace

// Calls a part of the work in several threads at a time, or in one. Who loads the library
// may put threads of their own in its place.
extern "C" Team* team;
Team* team = team_of_openmp;

// The threads take one task after the other until none is left.
template <class Work>
static int in_team(const Problem& p, Size count, Work work) {
  std::atomic<Size> next{0};
  std::atomic<bool> failed{false};
  auto part = [&] {
    if (!work([&] { return smaller(next++, count); })) failed = true;
  };
  team([](void* it) { (*static_cast<decltype(part)*>(it))(); }, &part, p.threads);
  return failed;
}

extern "C" int involution(const Problem* problem, const Real* x, const Real* k,
                          Real* y) {
  const Problem& p = *problem;
  const Tasks tasks(p, true);
  return in_team(p, tasks.count,
                 [&](auto next) { return forward_part(p, tasks, x, k, y, next); });
}

extern "C" int gradients(const Problem* problem, const Real* x, const Real* k,
                         const Real* dy, Real* dx, Real* dk) {
  const Problem& p = *problem;
  const Tasks tasks(p, false);
  return in_team(p, tasks.count, [&](auto next) {
    return gradients_part(p, tasks, x, k, dy, dx, dk, next);
  });
}
