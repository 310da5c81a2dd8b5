"""Networks that read crops of scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.rng import spawn
from radgen.deep._nets import NETWORKS, augment, build, forward
from radgen.deep._outcome import NetworkEstimator, Scale, checked_outcome
from radgen.deep._torch import load_weights, seeded, torch, weights_of
from radgen.errors import FitError, InputError
from radgen.predict.ridge import RidgeCox, RidgeLinear, RidgeLogistic
from radgen.predict.splits import group_folds

__all__ = ["ImageNetwork"]

FloatArray = NDArray[np.float64]
Network = Literal["cnn", "slices", "slice-mean"]
_CHUNK = 64
_START = 0.03
"""Ridge penalty of the columns, per row and largest variance, from which training starts."""


class ImageNetwork(NetworkEstimator):
    """Small convolutional network on crops of scans, for 50 to 500 patients.

    Parameters
    ----------
    network : {"cnn", "slices", "slice-mean"}
        Three layers of 3D convolutions; a 2D network a slice, whose outputs a bidirectional GRU
        reads in their order; or the same without the order (the mean over slices), which shows
        whether the order tells anything.
    outcome : {"auto", "binary", "continuous", "censored"}
        "auto": y with two columns is time and event; 0 and 1 alone are classes.
    shape : sequence of int or None
        (channels, z, y, x) where X is a table: its first columns are the crop, the rest joins the
        features of the image before the last layer. None = X has five axes.
    width : int, default 8
        Channels of the first layer.
    epochs, patience : int
        Passes over the data at most, and passes without a better loss in the patients held out.
    batch_size : int, default 8
        Samples a step; a censored outcome takes all at once, for its risk sets.
    rate : float, default 5e-3
        Learning rate of Adam, which falls to 0 along a cosine.
    decay : float, default 1e-2
        Weight decay.
    dropout : float, default 0.2
        Before the last layer.
    flips : sequence of int or None
        Axes flipped at random, 0 = z, 1 = y, 2 = x; None = all, but z where slices are read in
        their order. () = none.
    rotate_deg : float, default 15
        Largest random turn about z.
    intensity : float, default 0.1
        SD of random changes of contrast (log) and brightness; crops have SD 1.
    balanced : bool, default True
        Give both classes the same weight. Probabilities are those of the training share again.
    held_out : float, default 0.2
        Share of the patients that decide when to stop; 0 = all `epochs` are run.
    random_state : int or None
        Of weights, batches, augmentation and the patients held out.

    Attributes
    ----------
    net_ : torch.nn.ModuleDict
    scale_ : Scale
    shape_ : tuple of int
    n_extra_ : int
    mean_, spread_ : float64 (n_extra,)
    epochs_ : int
        Passes whose weights were kept.
    losses_ : float64 (n_epochs, 2)
        Loss in training, and in the patients held out (NaN without any).

    Notes
    -----
    The weights of columns beside the crop start from a ridge regression. Normalisation is by
    groups of channels within a sample, so a prediction does not depend on the other samples of a
    batch. One thread is used, so the result does not depend on the number of processors.

    References
    ----------
    Han and Kamdar 2018, doi:10.1142/9789813235533_0031 (slices by a recurrent network). Wu and He
    2018, doi:10.1007/978-3-030-01261-8_1 (group normalisation). Kim et al. 2022,
    doi:10.3390/cancers14194827: networks on MRI found no MGMT beyond chance.
    """

    _facts = ("shape_", "n_extra_", "mean_", "spread_", "epochs_", "losses_")
    reads = ("crops", "table")
    grid = ({},)

    def __init__(
        self,
        *,
        network: Network = "cnn",
        outcome: str = "auto",
        shape: Sequence[int] | None = None,
        width: int = 8,
        epochs: int = 50,
        patience: int = 15,
        batch_size: int = 8,
        rate: float = 5e-3,
        decay: float = 1e-2,
        dropout: float = 0.2,
        flips: Sequence[int] | None = None,
        rotate_deg: float = 15.0,
        intensity: float = 0.1,
        balanced: bool = True,
        held_out: float = 0.2,
        random_state: int | None = None,
    ) -> None:
        self.network = network
        self.outcome = outcome
        self.shape = shape
        self.width = width
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.rate = rate
        self.decay = decay
        self.dropout = dropout
        self.flips = flips
        self.rotate_deg = rotate_deg
        self.intensity = intensity
        self.balanced = balanced
        self.held_out = held_out
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : float32 (n, channels, z, y, x), or (n, p) with `shape`
            Crops, mean 0 and SD 1 by channel (`radgen.deep.make_crops`).
        y : float64 (n,) or (n, 2)
            Outcome.
        groups : array_like (n,) or None
            Patient of each sample, whose samples stay together; None = each its own.

        Raises
        ------
        InputError
            If shapes, outcomes or settings do not fit.
        FitError
            If the loss is no number.
        MissingDependencyError
            If PyTorch is not installed.
        """
        require_choice(self.network, NETWORKS, what="network")
        if not 0 <= self.held_out < 1 or self.epochs < 1:
            raise InputError("held_out lies in [0, 1), and epochs is 1 or more.")
        crops, extra, self.shape_ = self._read(X, self.shape)
        self.n_extra_ = extra.shape[1]
        self.mean_ = extra.mean(axis=0)
        spread = extra.std(axis=0)
        self.spread_ = np.where(spread > 1e-12 * (1 + np.abs(self.mean_)), spread, 1.0)
        kind, target = checked_outcome(y, self.outcome, len(crops))
        seed = 0 if self.random_state is None else int(self.random_state)
        train, held = self._parted(kind, target, groups, seed)
        self.scale_ = Scale.of(kind, target[train], balanced=self.balanced)
        with seeded(seed):
            self.net_ = self._build()
            columns = self._standard(extra)
            self._start_from(columns[train].astype(np.float64), target[train])
            self._train(crops, columns, target, train=train, held=held, seed=seed)
        return self

    def _start_from(self, columns: FloatArray, target: FloatArray) -> None:
        """Start from the ridge regression on the columns: the crop learns what it adds."""
        if not self.n_extra_:
            return
        largest = float(np.linalg.norm(columns, 2)) ** 2 / len(columns)
        make = {"binary": RidgeLogistic, "continuous": RidgeLinear, "censored": RidgeCox}
        model = make[self.scale_.kind](_START * len(columns) * max(largest, 1e-12))
        scaled = target
        if self.scale_.kind == "continuous":
            scaled = (target - self.scale_.center) / self.scale_.spread
        coefficients = np.ravel(model.fit(columns, scaled).coef_).astype(np.float32)
        with torch().no_grad():
            last = self.net_["head"][1].weight
            last[0, -self.n_extra_ :] = torch().from_numpy(coefficients)

    def _train(
        self,
        crops: NDArray[np.float32],
        extra: NDArray[np.float32],
        target: FloatArray,
        *,
        train: NDArray[np.int64],
        held: NDArray[np.int64],
        seed: int,
    ) -> None:
        library = torch()
        rng = spawn(seed, "image network")
        size = len(train) if self.scale_.kind == "censored" else self.batch_size
        n_steps = max(len(train) // size, 1)
        adam = library.optim.AdamW(self.net_.parameters(), lr=self.rate, weight_decay=self.decay)
        falling = library.optim.lr_scheduler.CosineAnnealingLR(adam, self.epochs * n_steps)
        best, best_weights, losses = np.inf, weights_of(self.net_), []
        self.epochs_ = 0
        for epoch in range(self.epochs):
            self.net_.train()
            total = 0.0
            for rows in np.array_split(train[rng.permutation(len(train))], n_steps):
                batch = augment(
                    library.from_numpy(crops[rows]), rng, flips=self._flips(),
                    rotate_deg=self.rotate_deg, intensity=self.intensity,
                )  # fmt: skip
                adam.zero_grad()
                score = forward(self.net_, self.network, batch, library.from_numpy(extra[rows]))
                loss = self.scale_.loss(target[rows])(score)
                loss.backward()
                library.nn.utils.clip_grad_norm_(self.net_.parameters(), 1.0)
                adam.step()
                falling.step()
                total += float(loss.detach()) * len(rows) / len(train)
            if not np.isfinite(total):
                raise FitError("The image network diverged. Lower rate, or look for odd crops.")
            judged = np.nan
            if len(held):
                judged = self.scale_.measured(self._scores(crops[held], extra[held]), target[held])
            losses.append((total, judged))
            if not len(held) or judged < best:
                best, best_weights, self.epochs_ = judged, weights_of(self.net_), epoch + 1
            elif epoch + 1 - self.epochs_ >= self.patience:
                break
        self.losses_ = np.array(losses)
        load_weights(self.net_, best_weights)

    def _parted(
        self, kind: str, target: FloatArray, groups: Any, seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return rows that train and rows, of other patients, that say when to stop."""
        n = len(target)
        everyone = np.arange(n)
        if self.held_out == 0:
            return everyone, everyone[:0]
        patients = everyone if groups is None else np.unique(np.asarray(groups),
                                                             return_inverse=True)[1]  # fmt: skip
        if len(patients) != n:
            raise InputError(f"There are {n} samples and {len(patients)} groups.")
        label = target if kind == "binary" else target[:, 1] if kind == "censored" else np.zeros(n)
        n_folds = min(max(round(1 / self.held_out), 2), len(np.unique(patients)))
        if n_folds < 2:
            raise InputError("Early stopping needs two patients or more; set held_out=0.")
        fold = group_folds(
            label.astype(np.int64), patients, n_folds, spawn(seed, "held-out patients")
        )
        train, held = everyone[fold != 0], everyone[fold == 0]
        wanting = {
            "binary": lambda rows: len(np.unique(target[rows])) < 2,
            "censored": lambda rows: not target[rows, 1].any(),
            "continuous": lambda rows: len(rows) < 2,
        }[kind]
        if wanting(train):
            raise InputError("Too few patients to hold some out for stopping; set held_out=0.")
        return train, held

    def _flips(self) -> tuple[int, ...]:
        if self.flips is not None:
            return tuple(self.flips)
        return (1, 2) if self.network == "slices" else (0, 1, 2)

    def _read(
        self, X: Any, shape: Sequence[int] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], tuple[int, ...]]:
        """Return crops (n, channels, z, y, x), the columns beside them, and the shape of a crop."""
        values = np.asarray(X)
        if values.ndim == 5:
            crops, extra = values, np.zeros((len(values), 0))
            if shape is not None and tuple(shape) != crops.shape[1:]:
                raise InputError(f"Crops of shape {crops.shape[1:]}; expected is {tuple(shape)}.")
        elif values.ndim == 2 and shape is not None:
            size = int(np.prod(shape))
            if values.shape[1] < size:
                raise InputError(f"{values.shape[1]} columns are no crops of shape {shape}.")
            crops, extra = values[:, :size].reshape(-1, *shape), values[:, size:]
        else:
            raise InputError("X has the axes (n, channels, z, y, x), or is a table and shape says "
                             "what its first columns are.")  # fmt: skip
        if crops.shape[1] < 1 or min(crops.shape[2:]) < 8:
            raise InputError(f"Crops need 8 voxels or more a side; their shape is {crops.shape}.")
        if not np.isfinite(crops).all() or not np.isfinite(extra).all():
            raise InputError("Crops and columns may not hold missing values.")
        return (
            np.require(crops, np.float32, ["C", "W"]), extra.astype(np.float64),
            tuple(int(side) for side in crops.shape[1:]),
        )  # fmt: skip

    def _standard(self, extra: FloatArray) -> NDArray[np.float32]:
        return ((extra - self.mean_) / self.spread_).astype(np.float32)

    def _build(self) -> Any:
        return build(self.network, self.shape_[0], self.width, self.n_extra_, self.dropout)

    def _scores(self, crops: NDArray[np.float32], extra: NDArray[np.float32]) -> FloatArray:
        """Return raw scores without augmentation and dropout, float64 (n,)."""
        library = torch()
        self.net_.eval()
        parts = [np.zeros(0)]
        with library.no_grad():
            for k in range(0, len(crops), _CHUNK):
                rows = slice(k, k + _CHUNK)
                batch = library.from_numpy(crops[rows]), library.from_numpy(extra[rows])
                parts.append(forward(self.net_, self.network, *batch).numpy())
        return np.concatenate(parts).astype(np.float64)

    def _raw(self, X: Any) -> FloatArray:
        crops, extra, _ = self._read(X, self.shape_)
        if extra.shape[1] != self.n_extra_:
            raise InputError(
                f"Beside the crops stand {extra.shape[1]} columns; fitted were {self.n_extra_}."
            )
        with seeded(0):
            return self._scores(crops, self._standard(extra))
