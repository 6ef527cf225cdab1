"""The Triton programs that run on the device; imported only when they are launched.

A program computes BLOCK_P positions by BLOCK_C channels of one group. The steps of
every tensor are arguments, so both data formats and views use the same programs.
Positions are counted over the whole batch, so small feature maps also fill the blocks.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _place(p, d_size, h_size, w_size, INDEX: tl.constexpr):
    """(image, depth, row, column) of positions that are counted over the batch."""
    row = p // w_size
    plane = row // h_size
    image = (plane // d_size).to(tl.int64)
    d, h, w = plane % d_size, row % h_size, p % w_size
    return image, d.to(INDEX), h.to(INDEX), w.to(INDEX)


@triton.jit
def forward(
    x, k, y, count, id_, ih, iw, od, oh, ow,
    x_b, x_g, x_c, x_d, x_h, x_w,
    k_b, k_g, k_t, k_d, k_h, k_w,
    y_b, y_g, y_c, y_d, y_h, y_w,
    KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    SD: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    RD: tl.constexpr, RH: tl.constexpr, RW: tl.constexpr,
    CHANNELS: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
    SUM: tl.constexpr, INDEX: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0).to(INDEX) * BLOCK_P + tl.arange(0, BLOCK_P)
    g = tl.program_id(1).to(INDEX)
    c = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    exists, channel = p < count, c < CHANNELS
    b, d, h, w = _place(p, od, oh, ow, INDEX)
    x += (b * x_b + g * x_g)[:, None] + (c * x_c)[None, :]
    k += b * k_b + g * k_g + d * k_d + h * k_h + w * k_w
    total = tl.zeros([BLOCK_P, BLOCK_C], SUM)
    for td in range(KD):
        xd = d * SD + (td - KD // 2) * RD
        depth = exists & (xd >= 0) & (xd < id_)
        for th in range(KH):
            xh = h * SH + (th - KH // 2) * RH
            row = depth & (xh >= 0) & (xh < ih)
            for tw in tl.static_range(KW):
                xw = w * SW + (tw - KW // 2) * RW
                inside = row & (xw >= 0) & (xw < iw)
                tap = (td * KH + th) * KW + tw
                weight = tl.load(k + tap * k_t, mask=exists, other=0.0)
                at = x + (xd * x_d + xh * x_h + xw * x_w)[:, None]
                mask = inside[:, None] & channel[None, :]
                value = tl.load(at, mask=mask, other=0.0)
                total += weight.to(SUM)[:, None] * value.to(SUM)
    y += (b * y_b + g * y_g + d * y_d + h * y_h + w * y_w)[:, None]
    y += (c * y_c)[None, :]
    mask = exists[:, None] & channel[None, :]
    tl.store(y, total.to(y.dtype.element_ty), mask=mask)


@triton.jit
def inputs_gradient(
    dy, k, dx, count, id_, ih, iw, od, oh, ow,
    y_b, y_g, y_c, y_d, y_h, y_w,
    k_b, k_g, k_t, k_d, k_h, k_w,
    x_b, x_g, x_c, x_d, x_h, x_w,
    KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    SD: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    RD: tl.constexpr, RH: tl.constexpr, RW: tl.constexpr,
    CHANNELS: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
    SUM: tl.constexpr, INDEX: tl.constexpr,
):  # fmt: skip
    """Each input position gathers the gradients of the outputs that have read it."""
    p = tl.program_id(0).to(INDEX) * BLOCK_P + tl.arange(0, BLOCK_P)
    g = tl.program_id(1).to(INDEX)
    c = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    exists, channel = p < count, c < CHANNELS
    b, d, h, w = _place(p, id_, ih, iw, INDEX)
    dy += (b * y_b + g * y_g)[:, None] + (c * y_c)[None, :]
    k += b * k_b + g * k_g
    total = tl.zeros([BLOCK_P, BLOCK_C], SUM)
    for td in range(KD):
        yd = d - (td - KD // 2) * RD
        depth = exists & (yd >= 0) & (yd % SD == 0) & (yd // SD < od)
        for th in range(KH):
            yh = h - (th - KH // 2) * RH
            row = depth & (yh >= 0) & (yh % SH == 0) & (yh // SH < oh)
            for tw in tl.static_range(KW):
                yw = w - (tw - KW // 2) * RW
                inside = row & (yw >= 0) & (yw % SW == 0) & (yw // SW < ow)
                tap = (td * KH + th) * KW + tw
                at = (yd // SD) * k_d + (yh // SH) * k_h + (yw // SW) * k_w
                weight = tl.load(k + at + tap * k_t, mask=inside, other=0.0)
                at = (yd // SD) * y_d + (yh // SH) * y_h + (yw // SW) * y_w
                mask = inside[:, None] & channel[None, :]
                value = tl.load(dy + at[:, None], mask=mask, other=0.0)
                total += weight.to(SUM)[:, None] * value.to(SUM)
    dx += (b * x_b + g * x_g + d * x_d + h * x_h + w * x_w)[:, None]
    dx += (c * x_c)[None, :]
    mask = exists[:, None] & channel[None, :]
    tl.store(dx, total.to(dx.dtype.element_ty), mask=mask)


@triton.jit
def kernels_gradient(
    x, dy, dk, count, id_, ih, iw, od, oh, ow,
    x_b, x_g, x_c, x_d, x_h, x_w,
    y_b, y_g, y_c, y_d, y_h, y_w,
    k_b, k_g, k_t, k_d, k_h, k_w,
    KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    SD: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    RD: tl.constexpr, RH: tl.constexpr, RW: tl.constexpr,
    CHANNELS: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
    SUM: tl.constexpr, INDEX: tl.constexpr,
):  # fmt: skip
    """One program sums over all channels of its group, so no atomics are needed."""
    p = tl.program_id(0).to(INDEX) * BLOCK_P + tl.arange(0, BLOCK_P)
    g = tl.program_id(1).to(INDEX)
    exists = p < count
    b, d, h, w = _place(p, od, oh, ow, INDEX)
    x += (b * x_b + g * x_g)[:, None]
    dy += (b * y_b + g * y_g + d * y_d + h * y_h + w * y_w)[:, None]
    dk += b * k_b + g * k_g + d * k_d + h * k_h + w * k_w
    for td in range(KD):
        xd = d * SD + (td - KD // 2) * RD
        depth = exists & (xd >= 0) & (xd < id_)
        for th in range(KH):
            xh = h * SH + (th - KH // 2) * RH
            row = depth & (xh >= 0) & (xh < ih)
            for tw in tl.static_range(KW):
                xw = w * SW + (tw - KW // 2) * RW
                inside = row & (xw >= 0) & (xw < iw)
                at = x + (xd * x_d + xh * x_h + xw * x_w)[:, None]
                total = tl.zeros([BLOCK_P], SUM)
                for first in tl.static_range(0, CHANNELS, BLOCK_C):
                    c = first + tl.arange(0, BLOCK_C)
                    mask = inside[:, None] & (c < CHANNELS)[None, :]
                    value = tl.load(at + (c * x_c)[None, :], mask=mask, other=0.0)
                    upstream = tl.load(dy + (c * y_c)[None, :], mask=mask, other=0.0)
                    total += tl.sum(value.to(SUM) * upstream.to(SUM), 1)
                tap = (td * KH + th) * KW + tw
                tl.store(dk + tap * k_t, total.to(dk.dtype.element_ty), mask=exists)
