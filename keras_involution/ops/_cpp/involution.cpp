// Involution and its gradients on a CPU, for any sizes and windows (`contract.h` says
// what is exported).
//
// The channels of a group are the lanes of vectors, and its inputs are in a padded copy
// that fits into the cache. A tap is therefore one multiply-add of a vector and a number,
// and no patches are written. A row is computed in blocks of up to eight outputs, whose
// sums stay in registers during a row of the window. The compiler unrolls the common
// windows; all others use loops.

#include "fused_gradients.h"
#include "normalization.h"
#include "team.h"

contract::Team* involution_team = team_of_process;

namespace {

// Calls `body` with the sizes that are known at compile time. Each unrolled window takes
// seconds to compile; these are the windows of the published networks and the smallest.
template <class Body>
int with_window(const Problem& p, Body body) {
  constexpr Size lanes = smaller(16, register_bytes / sizeof(float)), all = 16 / lanes;
  if (p.double_precision) return body(Window<double, lanes / 2, 0, 0, 0>(p));
  const Size width = p.dilation_rate[2] == 1 ? p.kernel_size[2] : 0;
  if (p.channels == 16 && width == 7 && p.strides[2] == 1)
    return body(Window<float, lanes, all, 7, 1>(p));
  if (p.channels == 16 && width == 7 && p.strides[2] == 2)
    return body(Window<float, lanes, all, 7, 2>(p));
  if (p.channels == 16 && width == 3 && p.strides[2] == 1)
    return body(Window<float, lanes, all, 3, 1>(p));
  // Groups with few channels use shorter vectors.
  if (p.channels <= 4) return body(Window<float, 4, 0, 0, 0>(p));
  return body(Window<float, lanes, 0, 0, 0>(p));
}

}  // namespace

extern "C" const char* involution_contract() { return contract::description(); }

extern "C" int involution(const Problem* problem, const void* x, const void* k,
                          void* y) {
  return with_window(*problem, [=](const auto& window) {
    typedef std::decay_t<decltype(window)> W;
    typedef typename W::Real Real;
    const Size threads = threads_of(window.p.threads);
    const Tasks<W> tasks(window, threads, true, window.p.groups);
    const Forward<W, Stored<W>> work{window, tasks, static_cast<const Real*>(x),
                                     static_cast<const Real*>(k),
                                     static_cast<Real*>(y)};
    return in_team(threads, tasks.count, work);
  });
}

extern "C" int involution_gradients(const Problem* problem, const void* x,
                                    const void* k, const void* dy, void* dx, void* dk) {
  return with_window(*problem, [=](const auto& window) {
    typedef std::decay_t<decltype(window)> W;
    typedef typename W::Real Real;
    const Size threads = threads_of(window.p.threads);
    const Tasks<W> tasks(window, threads, false, window.p.groups);
    const Gradients<W> work{
        window,
        tasks,
        static_cast<const Real*>(x),
        static_cast<const Real*>(k),
        static_cast<const Real*>(dy),
        static_cast<Real*>(dx),
        static_cast<Real*>(dk)};
    return in_team(threads, tasks.count, work);
  });
}

extern "C" int involution_fused(const Problem* problem, const void* x, const void* f,
                                const void* matrix, const void* bias, void* y) {
  return with_window(*problem, [=](const auto& window) {
    typedef std::decay_t<decltype(window)> W;
    typedef typename W::Real Real;
    const Size threads = threads_of(window.p.threads);
    const Tasks<W> tasks(window, threads, true, Strip<W>::most_groups(window));
    const Span<Real> span{static_cast<const Real*>(f), static_cast<const Real*>(matrix),
                          static_cast<const Real*>(bias)};
    const Forward<W, Strip<W>> work{window, tasks, static_cast<const Real*>(x), span,
                                    static_cast<Real*>(y)};
    return in_team(threads, tasks.count, work);
  });
}

extern "C" int involution_fused_gradients(const Problem* problem, const void* x,
                                          const void* f, const void* matrix,
                                          const void* bias, const void* dy, void* dx,
                                          void* df, void* dmatrix, void* dbias) {
  return with_window(*problem, [=](const auto& window) {
    typedef std::decay_t<decltype(window)> W;
    typedef typename W::Real Real;
    const Size threads = threads_of(window.p.threads);
    const Parts<W> parts(window, threads);
    if (!parts.span || !parts.features) return 1;
    const Span<Real> span{static_cast<const Real*>(f), static_cast<const Real*>(matrix),
                          static_cast<const Real*>(bias)};
    const FusedGradients<W> work{window,
                                 parts,
                                 static_cast<const Real*>(x),
                                 span,
                                 static_cast<const Real*>(dy),
                                 static_cast<Real*>(dx),
                                 static_cast<Real*>(df)};
    const Total<W> total{parts, static_cast<Real*>(df), static_cast<Real*>(dmatrix),
                         static_cast<Real*>(dbias)};
    const int failed = in_team(threads, parts.count, work);
    return failed ? failed : in_team(threads, total.count(), total);
  });
}

extern "C" int involution_normalized(const contract::Normalization* n, const float* x,
                                     const float* shortcut, const float* scale,
                                     const float* offset, float* y, float* mean,
                                     float* variance) {
  return normalized(Rows{n->rows, n->channels}, threads_of(n->threads), n->relu,
                    n->epsilon, x, shortcut, scale, offset, y, mean, variance);
}

extern "C" int involution_normalized_gradients(
    const contract::Normalization* n, const float* x, const float* y, const float* dy,
    const float* scale, const float* mean, const float* variance, float* dx,
    float* dshortcut, float* dscale, float* doffset) {
  return normalized_gradients(Rows{n->rows, n->channels}, threads_of(n->threads),
                              n->epsilon, x, n->relu ? y : nullptr, dy, scale, mean,
                              variance, dx, dshortcut, dscale, doffset);
}
