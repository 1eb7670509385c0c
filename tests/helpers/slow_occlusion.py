"""The occlusion family as its papers put it: one dense (T, H, W) float64 mask at a time, loops everywhere."""

import math

import numpy as np
import torch


def span(centre, side):
    """The pixels that a hole of that side around the centre covers, cut nowhere."""
    return range(centre - side // 2, centre + side // 2 + side % 2)


def cuboid_masks(shape, stride, stride_t, side, extent):
    masks = []
    for t in range(0, shape[0], stride_t):
        for y in range(0, shape[1], stride):
            for x in range(0, shape[2], stride):
                mask = np.ones(shape)
                for place in np.ndindex(shape):
                    if place[0] in span(t, extent) and place[1] in span(y, side) and place[2] in span(x, side):
                        mask[place] = 0
                masks.append(mask)
    return masks


def tube_masks(flow, size, stride, hole, k, start, rows, columns, position=False):
    """flow (T - 1, H, W, 2). start, rows, columns: (low, high) as in Field."""
    shape = (len(flow) + 1, *size)
    singles, motions = [], []
    for first_y in range(int(stride / 2), size[0], stride):
        for first_x in range(int(stride / 2), size[1], stride):
            if start[0] <= first_y <= start[1]:
                mask, motion = _follow(flow, shape, first_y, first_x, hole, rows, columns, position)
                singles.append(mask)
                motions.append(motion)
    return [_joined(i, singles, motions, k) for i in range(len(singles))]


def _follow(flow, shape, y, x, hole, rows, columns, position):
    mask, motion, alive = np.ones(shape), [], True
    for t in range(shape[0]):
        if alive:
            mask[t] = [[0 if (v in span(y, hole) and u in span(x, hole)) else 1 for u in range(shape[2])]
                       for v in range(shape[1])]  # fmt: skip
        if t < shape[0] - 1:
            dx, dy = flow[t, y, x]
            to_y, to_x = np.float32(y) + dy, np.float32(x) + dx
            alive = alive and rows[0] <= to_y <= rows[1] and columns[0] <= to_x <= columns[1]
            next_y = min(max(round(float(to_y)), 0), shape[1] - 1)
            next_x = min(max(round(float(to_x)), 0), shape[2] - 1)
            motion += [next_x - x, next_y - y] if position else [float(dx), float(dy)]
            y, x = next_y, next_x
    return mask, motion


def _joined(i, singles, motions, k):
    """The mask of anchor i, times those of the k others that move most like it."""
    others = [j for j in range(len(singles)) if j != i]
    others.sort(key=lambda j: (-round(_cosine(motions[i], motions[j]), 12), j))
    return np.prod([singles[j] for j in [i, *others[:k]]], axis=0)


def _cosine(a, b):
    dot = sum(p * q for p, q in zip(a, b, strict=True))
    return dot / (math.sqrt(sum(p * p for p in a)) + 1e-10) / (math.sqrt(sum(q * q for q in b)) + 1e-10)


def probability(model, clip, target):
    """p_y of one clip (3, T, H, W)."""
    return model(clip[None]).softmax(dim=1)[0, target]


def exact_scores(model, clip, target, masks):
    with torch.no_grad():
        return [probability(model, clip * torch.from_numpy(mask), target).item() for mask in masks]


def gradient(model, clip, target):
    clip = clip.clone().requires_grad_()
    return torch.autograd.grad(probability(model, clip, target), clip)[0].numpy()


def linear_scores(model, clip, target, masks, window, surround, relu, sign):
    """f_0 + D_i; window None: filled with 0."""
    x, j = clip.numpy(), gradient(model, clip, target)
    v = np.zeros_like(x) if window is None else neighbourhood(x, window, surround)
    with torch.no_grad():
        whole = probability(model, clip, target).item()
    return [whole + change(j * (1 - mask) * (v - x), relu, sign) for mask in masks]


def change(e, relu, sign):
    """D of the elements e (3, T, H, W)."""
    if not relu:
        return e.sum()
    return -np.maximum(-e, 0).sum() if sign == "drops" else -np.maximum(e, 0).sum()


def neighbourhood(x, window, surround):
    """Mean of the window around every pixel, zeros outside; even windows reach one further down and right."""
    before, (height, width) = (window - 1) // 2, x.shape[2:]
    mean = np.zeros_like(x)
    for v in range(height):
        for u in range(width):
            total, top, left = 0, v - before, u - before
            for row in range(max(top, 0), min(top + window, height)):
                for column in range(max(left, 0), min(left + window, width)):
                    if not surround or (row, column) != (v, u):
                        total = total + x[:, :, row, column]
            mean[:, :, v, u] = total / (window**2 - surround)
    return mean


def adjusted(model, clip, target, masks, scores, whole):
    """Fill 0, no ReLU: outliers of the estimates from the gradient where the most extreme mask has hidden the clip."""
    estimate = np.array(scores) - whole
    first, third = np.percentile(estimate, [25, 75])
    raised, lowered = estimate > third + 1.5 * (third - first), estimate < first - 1.5 * (third - first)
    scores = np.array(scores)
    for worst, out in ((estimate.argmax(), raised), (estimate.argmin(), lowered)):
        if out.any():
            hidden = clip * torch.from_numpy(masks[worst])
            scores[out] = np.array(linear_scores(model, hidden, target, masks, None, False, False, None))[out]
    return scores, raised, lowered


def paint(masks, scores, whole, how):
    """The map (T, H, W) of the aggregate `how`."""
    total, covered = 0, 0
    for mask, score in zip(masks, scores, strict=True):
        if how == "released":
            total = total + ((score - whole) * mask / mask.mean() / len(masks) if mask.any() else 0)
        elif how == "eq2":
            total = total + score * mask / len(masks)
        else:
            total, covered = total + (whole - score) * (1 - mask), covered + (1 - mask)
    return total if how != "coverage" else np.where(covered > 0, total / np.maximum(covered, 1), 0)
