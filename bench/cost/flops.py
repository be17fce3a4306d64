"""Operations of a forward pass, counted while it runs: products (MACs) by torch's formulas, everything else by ours.

What is counted is what is executed, operator by operator, for classic methods too:

- convolutions and matrix products: `torch.utils.flop_counter`; a MAC is one multiplication with its addition, two FLOPs,
- elementwise work: one FLOP for every output element and operation, square roots, exponentials and comparisons too; sigmoid, tanh
  and their like 4; complex products 6, other complex work 2; selections, copies and integer work nothing,
- reductions one for every input element (variance 4, norms 2), softmax 5, normalisation layers 7 (fixed statistics: 2),
- pooling one for every element of a window, bilinear interpolation 7 and bicubic 35 for every output element,
- sorting n log2 n, FFT of n samples 5 n log2 n (half of it where one side is real),
- linear algebra by its leading terms (Golub and Van Loan, Matrix Computations, 4th edition), see `_LINEAR_ALGEBRA`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# Operations that move, select, create or compare shapes, and integer work.
_FREE = frozenset(
    """
    _conj _conj_physical _local_scalar_dense _reshape_alias _to_copy _unsafe_index _unsafe_view _assert_async
    _linalg_check_errors alias arange argwhere as_strided bernoulli bincount
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_xor cat clone complex constant_pad_nd contiguous copy copysign
    detach diag_embed diagonal diagonal_copy diagonal_scatter dropout empty empty_like empty_permuted empty_strided equal expand
    expand_copy eye fill fill_diagonal flip full full_like gather im2col index index_copy index_put index_select is_nonzero
    isfinite isinf isnan item lift lift_fresh lift_fresh_copy linspace logical_and logical_not logical_or logical_xor masked_fill
    masked_scatter masked_select meshgrid narrow native_dropout new_empty new_empty_strided new_full new_ones new_zeros nonzero
    one_hot ones ones_like permute permute_copy pixel_shuffle pixel_unshuffle rand rand_like randint randn randn_like randperm
    reflection_pad1d reflection_pad2d repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d
    reflection_pad3d resolve_conj resolve_neg roll rot90 scalar_tensor scatter select select_backward select_scatter set_ sgn
    slice slice_scatter split split_with_sizes squeeze stack t take take_along_dim to transpose tril tril_indices triu unbind
    unfold unsafe_split unsqueeze upsample_nearest1d upsample_nearest2d upsample_nearest3d view view_as_complex view_as_real where
    zero zeros zeros_like channel_shuffle native_channel_shuffle real imag normal uniform _unique2 unique_dim unique_consecutive
    searchsorted bucketize
    """.split()  # noqa: SIM905
)
# FLOPs for every input element.
_REDUCTIONS = {
    **dict.fromkeys("sum mean amax amin max min prod any all cumsum cumprod argmax argmin aminmax count_nonzero".split(), 1),  # noqa: SIM905
    **dict.fromkeys("var std var_mean std_mean".split(), 4),  # noqa: SIM905
    **dict.fromkeys("linalg_vector_norm norm linalg_vecdot dot vdot mv addmv mse_loss _cdist_forward".split(), 2),  # noqa: SIM905
    **dict.fromkeys("logsumexp nansum trace nanmean".split(), 3),  # noqa: SIM905
    **dict.fromkeys("index_add scatter_add scatter_reduce histc col2im adaptive_avg_pool2d _adaptive_avg_pool2d".split(), 1),  # noqa: SIM905
    **dict.fromkeys("_softmax softmax _log_softmax log_softmax".split(), 5),  # noqa: SIM905
    **dict.fromkeys("native_layer_norm native_group_norm _fused_rms_norm instance_norm".split(), 7),  # noqa: SIM905
    **dict.fromkeys("adaptive_max_pool2d adaptive_max_pool1d _adaptive_avg_pool3d".split(), 1),  # noqa: SIM905
}
# FLOPs for every output element; what stands nowhere is elementwise and costs one.
_OUTPUTS = {
    **dict.fromkeys("addcmul addcdiv".split(), 2),  # noqa: SIM905
    **dict.fromkeys("lerp hypot".split(), 3),  # noqa: SIM905
    **dict.fromkeys("clamp leaky_relu prelu _prelu_kernel elu celu softplus".split(), 2),  # noqa: SIM905
    **dict.fromkeys("sigmoid silu tanh gelu mish hardswish hardsigmoid".split(), 4),  # noqa: SIM905
    **dict.fromkeys("upsample_bilinear2d _upsample_bilinear2d_aa grid_sampler_2d upsample_linear1d".split(), 7),  # noqa: SIM905
    **dict.fromkeys("upsample_bicubic2d _upsample_bicubic2d_aa".split(), 35),  # noqa: SIM905
    **dict.fromkeys("upsample_trilinear3d grid_sampler_3d".split(), 15),  # noqa: SIM905
}
_NORMALISED = {"native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "_native_batch_norm_legit"}
_POOLS = {"avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool2d_with_indices", "max_pool2d", "max_pool3d_with_indices"}
_SORTS = {"sort", "argsort", "topk", "kthvalue", "median", "nanmedian", "mode", "msort"}


def _square(args: tuple[Any, ...], cubic: float) -> float:
    """`cubic` n^3 for every matrix of the first argument."""
    a = args[0]
    return cubic * a.numel() * a.shape[-1]


def _tall(args: tuple[Any, ...], first: float, second: float) -> float:
    """`first` m n^2 + `second` n^3 for every m x n matrix, m >= n."""
    m, n = sorted(args[0].shape[-2:], reverse=True)
    return args[0].numel() / max(m * n, 1) * (first * m * n * n + second * n**3)


def _solved(args: tuple[Any, ...], cubic: float, columns: float) -> float:
    """`cubic` n^3 for the factorisation and `columns` n^2 for every right-hand side."""
    return _square(args, cubic) + columns * args[1].numel() * args[0].shape[-1]


_LINEAR_ALGEBRA: dict[str, Callable[[tuple[Any, ...]], float]] = {
    "_linalg_eigh": lambda args: _square(args, 9),
    "linalg_eigh": lambda args: _square(args, 9),
    "linalg_eig": lambda args: _square(args, 25),
    "_linalg_svd": lambda args: _tall(args, 6, 20),
    "linalg_svd": lambda args: _tall(args, 6, 20),
    "linalg_pinv": lambda args: _tall(args, 8, 20),
    "linalg_qr": lambda args: _tall(args, 4, -4 / 3),
    "geqrf": lambda args: _tall(args, 2, -2 / 3),
    "linalg_lstsq": lambda args: _tall(args, 2, -2 / 3) + 4 * args[1].numel() * args[0].shape[-1],
    "_linalg_solve_ex": lambda args: _solved(args, 2 / 3, 2),
    "linalg_solve_ex": lambda args: _solved(args, 2 / 3, 2),
    "linalg_lu_factor_ex": lambda args: _square(args, 2 / 3),
    "linalg_lu_solve": lambda args: 2 * args[2].numel() * args[0].shape[-1],
    "linalg_inv_ex": lambda args: _square(args, 2),
    "linalg_inv": lambda args: _square(args, 2),
    "_linalg_det": lambda args: _square(args, 2 / 3),
    "linalg_cholesky_ex": lambda args: _square(args, 1 / 3),
    "cholesky_solve": lambda args: 2 * args[0].numel() * args[1].shape[-1],
    "cholesky_inverse": lambda args: _square(args, 2 / 3),
    "linalg_solve_triangular": lambda args: args[1].numel() * args[0].shape[-1],
    "triangular_solve": lambda args: args[0].numel() * args[1].shape[-1],
}


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what runs inside its `with` block; a CPU, CUDA and "meta" tensors (shapes alone, nothing computed) will do.

    Attributes:
        macs: multiply-accumulates of convolutions and matrix products.
        elements: all other floating-point operations.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.elements = 0.0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # torch would import its compiler (1.5 s of every cell) to keep it from compiling this class; nothing here is compiled.
        return False

    @property
    def flops(self) -> int:
        """Floating-point operations: two for every MAC, and the others."""
        return 2 * self.macs + round(self.elements)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = getattr(func, "overloadpacket", None)
        product = _product(packet)
        if product is None and packet is not None:
            # In inference mode composite operations arrive whole: count their parts.
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if product is not None:
            self.macs += int(product(*args, **kwargs, out_val=result)) // 2
        elif packet is not None:
            self.elements += _work(packet.__name__.rstrip("_"), args, result)
        return result


@contextmanager
def skip_padding(network: nn.Module, counter: OperationCounter) -> Iterator[None]:
    """Leave out products with zeros that only a layer's memory layout needs.

    A layer tells them with `padding_macs(*inputs) -> int`; the definition of the layer, and published tables, know none.
    """

    def subtract(layer: Any, inputs: tuple[Any, ...], _: Any) -> None:
        counter.macs -= layer.padding_macs(*inputs)

    hooks = [layer.register_forward_hook(subtract) for layer in network.modules() if hasattr(layer, "padding_macs")]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _product(packet: Any) -> Callable[..., Any] | None:
    """Torch's formula for a product; in-place forms (`baddbmm_`) cost what the others do."""
    if packet in flop_registry:
        return flop_registry[packet]
    name = getattr(packet, "__name__", "")
    plain = getattr(torch.ops.aten, name.rstrip("_"), None) if name.endswith("_") and not name.endswith("__") else None
    return flop_registry.get(plain)


def _work(name: str, args: tuple[Any, ...], result: Any) -> float:
    """FLOPs of an operation that is no product."""
    first = _first(args)
    out = _first(result if isinstance(result, tuple | list) else (result,))
    if name in _FREE or first is None or out is None or not (first.is_floating_point() or first.is_complex()):
        return 0
    if name in _LINEAR_ALGEBRA:
        return _LINEAR_ALGEBRA[name](args)
    if "fft_" in name:
        return _transform(name, args, first, out)
    if name in _SORTS:
        return first.numel() * math.log2(max(first.shape[-1], 2)) if first.ndim else 0
    if name in _POOLS:
        return out.numel() * _window(args[1], out.ndim - 2)
    if name in _NORMALISED:
        return out.numel() * (7 if name == "native_batch_norm" and len(args) > 5 and args[5] else 2)
    if name in _REDUCTIONS and not _elementwise(name, args):
        return _REDUCTIONS[name] * max((item.numel() for item in args if isinstance(item, Tensor)), default=0)
    factor = (6 if name in {"mul", "div"} else 2) if out.is_complex() else 1
    return factor * _OUTPUTS.get(name, 1) * out.numel()


def _first(items: Any) -> Tensor | None:
    """The first tensor, also of a list in first place."""
    for item in items:
        if isinstance(item, Tensor):
            return item
        if isinstance(item, tuple | list) and item and isinstance(item[0], Tensor):
            return item[0]
    return None


def _elementwise(name: str, args: tuple[Any, ...]) -> bool:
    """Whether max or min compares two images instead of searching one."""
    return name in {"max", "min"} and len(args) > 1 and isinstance(args[1], Tensor)


def _window(kernel: Any, dimensions: int) -> int:
    sides = [kernel] if isinstance(kernel, int) else list(kernel)
    return math.prod(sides if len(sides) > 1 else sides * min(dimensions, 2))


def _transform(name: str, args: tuple[Any, ...], first: Tensor, out: Tensor) -> float:
    """5 n log2 n for every transform of n samples, half of it from or to real values."""
    full = out if "c2r" in name else first
    samples = math.prod(full.shape[dim] for dim in args[1])
    return (5 if "c2c" in name else 2.5) * full.numel() * math.log2(max(samples, 2))
