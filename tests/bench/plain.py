"""Plain peers: the published formulas in straightforward NumPy and SciPy, band by band, as toolboxes are usually written.

They stand in for toolboxes that cannot be installed here, and are held against this project's results before they are timed.
Images are float64: (C, h, w), (C, H, W), and the guide (H, W).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

TAPS = np.zeros(23)
TAPS[11] = 1.0
for _number, _tap in enumerate(
    (0.610668182370, -0.145397186478, 0.043619155884, -0.010385513306, 0.001615524292, -0.000120162964)
):
    TAPS[11 + 2 * _number + 1] = TAPS[11 - 2 * _number - 1] = _tap
SPLINE = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
EPS = 2.0**-52


def interp23(image, ratio=4):
    """Two doublings: zeros between the samples, then the 23-tap kernel down the rows and along the columns."""
    for number in range(int(np.log2(ratio))):
        offset = 1 if number == 0 else 0
        stretched = np.zeros((len(image), 2 * image.shape[1], 2 * image.shape[2]))
        stretched[:, offset::2, offset::2] = image
        for band in stretched:
            band[:] = ndimage.correlate1d(ndimage.correlate1d(band, TAPS, 0, mode="wrap"), TAPS, 1, mode="wrap")
        image = stretched
    return image


def mtf(image, kernels):
    """Every band with its own 41x41 kernel, replicate borders."""
    return np.stack([ndimage.correlate(band, kernel, mode="nearest") for band, kernel in zip(image, kernels, strict=True)])


def brovey(lms, guide):
    intensity = lms.mean(0)
    return np.stack([band * guide / (intensity + EPS) for band in lms])


def spline(image, axis):
    """Two levels of the B3 spline along an axis: two passes that extend the image, two that use the extension up."""
    for number in range(4):
        if number < 2:
            image = np.pad(image, [(4, 4) if a == axis else (0, 0) for a in (0, 1)], mode="symmetric")
        image = ndimage.correlate1d(image, SPLINE, axis).take(range(2, image.shape[axis] - 2), axis)
    return image


def gsa(ms, lms, guide, ratio=4):
    guide = guide - guide.mean()
    low = spline(spline(guide, 0), 1)[ratio // 2 :: ratio, ratio // 2 :: ratio]
    bands = np.stack([band - band.mean() for band in ms])
    weights = np.linalg.lstsq(bands.reshape(len(ms), -1).T, low.ravel(), rcond=None)[0]
    intensity = sum(weight * band for weight, band in zip(weights, lms, strict=True))
    intensity = intensity - intensity.mean()
    fused = np.empty_like(lms)
    for number, band in enumerate(lms):
        c = np.cov(intensity.ravel(), band.ravel())
        fused[number] = band + c[0, 1] / c[0, 0] * (guide - intensity)
    return fused


def mtf_glp_hpm(lms, guide, kernels, low_pass, ratio=4):
    """`low_pass` is the generic kernel whose output's deviation equalises the guide."""
    spread = ndimage.correlate(guide, low_pass, mode="nearest").std(ddof=1)
    fused = np.empty_like(lms)
    for number, (band, kernel) in enumerate(zip(lms, kernels, strict=True)):
        matched = (guide - guide.mean()) * band.std(ddof=1) / spread + band.mean()
        low = ndimage.correlate(matched, kernel, mode="nearest")[ratio // 2 :: ratio, ratio // 2 :: ratio]
        fused[number] = band * matched / (interp23(low[None], ratio)[0] + EPS)
    return fused


def _product(x, y):
    """Hypercomplex product of arrays (..., n) by the Cayley-Dickson recursion."""
    half = x.shape[-1] // 2
    if half == 0:
        return x * y
    a, b, c, d = x[..., :half], x[..., half:], y[..., :half], y[..., half:]
    return np.concatenate([_product(a, c) - _product(_conjugate(d), b), _product(d, a) + _product(b, _conjugate(c))], -1)


def _conjugate(x):
    return np.concatenate([x[..., :1], -x[..., 1:]], -1)


def q2n(fused, truth, block=32):
    """Block by block; integer digital numbers, as the toolbox has them; a power-of-two number of bands and whole blocks."""
    values = []
    for top in range(0, truth.shape[1], block):
        for left in range(0, truth.shape[2], block):
            window = np.s_[:, top : top + block, left : left + block]
            values.append(_block(truth[window].reshape(len(truth), -1).T, fused[window].reshape(len(truth), -1).T))
    return float(np.mean(values))


def _block(x, y):
    mean, spread = x.mean(0), x.std(0, ddof=1)
    spread = np.where(spread == 0, EPS, spread)
    x, y = (x - mean) / spread + 1, _conjugate((y - mean) / spread + 1)
    n = len(x)
    x_mean, y_mean = x.mean(0), y.mean(0)
    x_power, y_power = np.sum(x_mean**2), np.sum(y_mean**2)
    x_variance, y_variance = (n / (n - 1) * (np.sum(z**2, -1).mean() - p) for z, p in ((x, x_power), (y, y_power)))
    covariance = n / (n - 1) * (_product(x, y).mean(0) - _product(x_mean, y_mean))
    mean_bias = 2 * np.sqrt(x_power * y_power) / (x_power + y_power)
    if x_variance + y_variance == 0:
        return mean_bias
    contrast = 2 * np.sqrt(x_variance * y_variance) / (x_variance + y_variance)
    correlation = np.linalg.norm(covariance) / np.sqrt(x_variance * y_variance)
    return mean_bias * contrast * correlation


def uiqi(x, y, block=32):
    """Universal image quality index in distinct blocks, one after another."""
    values = []
    for top in range(0, x.shape[0] - block + 1, block):
        for left in range(0, x.shape[1] - block + 1, block):
            a, b = x[top : top + block, left : left + block].ravel(), y[top : top + block, left : left + block].ravel()
            c = np.cov(a, b)
            values.append(4 * c[0, 1] * a.mean() * b.mean() / (c[0, 0] + c[1, 1]) / (a.mean() ** 2 + b.mean() ** 2))
    return float(np.mean(values))


def d_lambda(fused, lms):
    count = len(lms)
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    return float(np.mean([abs(uiqi(fused[i], fused[j]) - uiqi(lms[i], lms[j])) for i, j in pairs]))


def d_s(fused, lms, guide, low):
    return float(np.mean([abs(uiqi(a, guide) - uiqi(b, low)) for a, b in zip(fused, lms, strict=True)]))


def total_variation(ms, guide, weights, alpha, smoothness, shrink, enlarge, iterations=50):
    """Majorisation-minimisation; `shrink` and `enlarge` are (rows, columns) matrices of the two resizers."""
    bound, weights = 8.0, np.asarray(weights)[:, None, None]
    x = np.zeros((len(ms), *guide.shape))
    dual = [np.zeros_like(x), np.zeros_like(x)]
    for _ in range(iterations):
        lack = np.stack([m - shrink[0] @ band @ shrink[1].T for m, band in zip(ms, x, strict=True)])
        goal = alpha * x + np.stack([enlarge[0] @ band @ enlarge[1].T for band in lack])
        goal = goal + weights * (guide - (weights * x).sum(0))
        size = bound + 2 * alpha / smoothness * np.sqrt(sum(d**2 for d in _differences(x)))
        free = goal - _adjoint(dual)
        dual = [(bound * old + new) / size for old, new in zip(dual, _differences(free), strict=True)]
        x = (goal - _adjoint(dual)) / alpha
    return x


def _differences(x):
    down, right = np.zeros_like(x), np.zeros_like(x)
    down[:, :-1] = x[:, 1:] - x[:, :-1]
    right[:, :, :-1] = x[:, :, 1:] - x[:, :, :-1]
    return down, right


def _adjoint(dual):
    down, right = dual
    out = -down - right
    out[:, 1:] += down[:, :-1]
    out[:, :, 1:] += right[:, :, :-1]
    return out


def sparse_details(sharp, dull, lost, ratio=4, side=7, overlap=4, count=10):
    """SR-D after its filters: patch by patch, orthogonal matching pursuit with least squares, then the average of patches."""
    tops, lefts = ([*range(0, size - side, side - overlap), size - side] if size > side else [0] for size in lost.shape[1:])
    places = [(top, left) for top in tops for left in lefts]
    atoms = np.stack([dull[:, top : top + side, left : left + side].reshape(len(dull), -1) for top, left in places])
    flat = atoms.reshape(len(atoms), -1)
    total, cover, high = np.zeros_like(sharp), np.zeros(sharp.shape[1:]), side * ratio
    for number, (top, left) in enumerate(places):
        target = lost[:, top : top + side, left : left + side].reshape(len(lost), -1)
        chosen, residual = [number], target
        for _ in range(count):
            if residual is not target:
                chosen.append(int(np.abs(flat @ residual.ravel()).argmax()))
            shares = [np.linalg.lstsq(atoms[chosen, band].T, target[band], rcond=None)[0] for band in range(len(lost))]
            fit = [share @ atoms[chosen, band] for band, share in enumerate(shares)]
            residual = target - np.stack(fit)
        window = np.s_[top * ratio : top * ratio + high, left * ratio : left * ratio + high]
        cover[window] += 1
        for atom, share in zip(chosen, np.stack(shares).T, strict=True):
            r, c = places[atom][0] * ratio, places[atom][1] * ratio
            total[:, window[0], window[1]] += share[:, None, None] * sharp[:, r : r + high, c : c + high]
    return total / cover
