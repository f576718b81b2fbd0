"""What every training run shares: state that survives a stop, averaged weights, a log with its curve, exports."""
from __future__ import annotations

import concurrent.futures
import csv
import json
import math
import os
import pathlib
import re
import signal
import time

import torch

from . import fast, sprites

PAUSE = sprites.WORK / "PAUSE"       # while this file is there, runs sleep between two steps


def cosine(step: int, total: int, warmup: int, floor: float = 0.02) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def trapezoid(step: int, total: int, warmup: int, decay: float, floor: float = 0.02) -> float:
    """Factor of the learning rate: linear warm-up, constant, and linear down to `floor` over the last part `decay` of the steps: how long a run will be
    may be decided while it runs."""
    begin = total - int(decay * total)
    if step < warmup:
        return (step + 1) / warmup
    return 1.0 if step < begin else falling(step, begin, total, floor)


def falling(step: int, first: int, last: int, floor: float = 0.02) -> float:
    """Factor of the learning rate: linear from 1 at step `first` down to `floor` at `last`."""
    return floor + (1 - floor) * (last - step) / max(1, last - first)


class Average:
    """Exponential moving average of a module's parameters; starts quickly: the decay is at most (1 + n) / (10 + n)."""

    def __init__(self, module: torch.nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self.names = [name for name, _ in module.named_parameters()]
        self.live = [p for _, p in module.named_parameters()]
        self.values = [p.detach().clone() for p in self.live]

    @torch.no_grad()
    def update(self):
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_mul_(self.values, decay)
        torch._foreach_add_(self.values, self.live, alpha=1 - decay)

    @torch.no_grad()
    def swap(self):
        """Exchanges the averaged and the live weights; call it again to undo."""
        for live, value in zip(self.live, self.values):
            held = live.clone()
            live.copy_(value)
            value.copy_(held)

    def named(self) -> dict[str, torch.Tensor]:
        return dict(zip(self.names, self.values))

    def state(self) -> dict:
        return {"updates": self.updates, "values": self.named()}

    @torch.no_grad()
    def restore(self, state: dict):
        self.updates = state["updates"]
        for name, value in zip(self.names, self.values):
            value.copy_(state["values"][name])


class Halves:
    """Computes the gradients of a batch as two halves on two Python threads, each with single-threaded kernels.

    For small layers that is twice as fast as one batch on two kernel threads, and on a busy machine nobody spins at a barrier. The halves and
    the order of their sum are fixed, so that the result does not depend on timing. With one thread the batch stays whole.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], threads: int = 2):
        torch.set_num_threads(1)
        self.parameters, self.threads = parameters, threads
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)

    def backward(self, loss, *tensors: torch.Tensor):
        """`loss(*half)` returns a tuple: the loss to differentiate, then figures to report. Fills `.grad`; returns the means of the tuple."""
        def part(inputs):
            values = loss(*inputs)
            return torch.autograd.grad(values[0], self.parameters), [v.detach() for v in values]

        if self.threads == 1:
            gradients, values = part(tensors)
            for parameter, gradient in zip(self.parameters, gradients):
                parameter.grad = gradient
            return values
        n = tensors[0].shape[0] // 2
        first, second = self.pool.map(part, ([t[:n] for t in tensors], [t[n:] for t in tensors]))
        with torch.no_grad():
            gradients = torch._foreach_add(list(first[0]), list(second[0]))
            torch._foreach_mul_(gradients, 0.5)
        for parameter, gradient in zip(self.parameters, gradients):
            parameter.grad = gradient
        return [(a + b) / 2 for a, b in zip(first[1], second[1])]


class Muon(torch.optim.Optimizer):
    """Momentum whose update of a weight matrix is made orthogonal by five Newton-Schulz steps (Jordan et al. 2024), with the size of an AdamW
    update, 0.2 sqrt(longer side) (Liu et al. 2025, arXiv 2502.16982, section 2.2). For the matrices inside of blocks; the rest stays with AdamW.

    Matrices of one shape are worked on together, in bfloat16 where that is quick, half of them on each of two threads.
    """

    def __init__(self, matrices: list[torch.nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0, threads: int = 2):
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)

    @staticmethod
    def orthogonal(stack: torch.Tensor) -> torch.Tensor:
        """[matrices, rows <= columns, columns] -> about U V^T of each, singular values within .7 to 1.2."""
        x = (stack / (stack.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(fast.low())
        for _ in range(5):
            a = torch.bmm(x, x.transpose(1, 2))
            x = 3.4445 * x + torch.bmm(-4.7750 * a + 2.0315 * torch.bmm(a, a), x)
        return x.float()

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
            for p in group["params"]:
                shapes.setdefault(tuple(sorted(p.shape)), []).append(p)
            halves = [part for same in shapes.values() for part in (same[:(len(same) + 1) // 2], same[(len(same) + 1) // 2:]) if part]
            list(self.pool.map(lambda parameters: self._update(parameters, group), halves))

    @torch.no_grad()
    def _update(self, parameters: list[torch.nn.Parameter], group: dict):
        directions = []
        for p in parameters:
            if "momentum" not in self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
            m = self.state[p]["momentum"].mul_(group["momentum"]).add_(p.grad)
            direction = p.grad.add(m, alpha=group["momentum"])
            directions.append(direction if p.shape[0] <= p.shape[1] else direction.t())
        for p, update in zip(parameters, self.orthogonal(torch.stack(directions))):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update if p.shape[0] <= p.shape[1] else update.t(), alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)


def optimizers(module: torch.nn.Module, kind: str, rate: float, matrix_rate: float, threads: int = 2) -> list[torch.optim.Optimizer]:
    """AdamW for everything ("adamw"), or Muon at `matrix_rate` for the linear layers inside of lists of blocks and AdamW for the rest ("muon")."""
    if kind not in ("adamw", "muon"):
        raise SystemExit(f"optimizer '{kind}': adamw and muon are known")
    matrices = [m.weight for name, m in module.named_modules() if isinstance(m, torch.nn.Linear) and re.search(r"(blocks?|layers)\.\d+(\.|$)", name)] if kind == "muon" else []
    chosen = {id(p) for p in matrices}
    rest = adamw([p for p in module.parameters() if id(p) not in chosen], rate)
    return [rest, *([_with_peak(Muon(matrices, matrix_rate, weight_decay=1e-3, threads=threads), matrix_rate)] if matrices else [])]


def adamw(parameters, rate: float, decay: float = 1e-3, second: float = 0.99) -> torch.optim.Optimizer:
    return _with_peak(torch.optim.AdamW(parameters, lr=rate, betas=(0.9, second), weight_decay=decay, foreach=True), rate)


def _with_peak(optimizer: torch.optim.Optimizer, peak: float) -> torch.optim.Optimizer:
    """Notes the highest learning rate, which `Fit` multiplies with its schedule."""
    for group in optimizer.param_groups:
        group["peak"] = peak
    return optimizer


def save_atomically(value, path: pathlib.Path):
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


class Run:
    """The folder of one training run: `state.pt`, `log.csv`, `loss.svg`, `run.json` (its options).

    `stopping` becomes true on SIGTERM and SIGINT; the loop then saves and leaves. A run that was started with other options is refused, but for those
    named as `changeable`.
    """

    def __init__(self, folder: pathlib.Path, options: dict, save_every: float = 240.0, changeable: tuple[str, ...] = ()):
        self.folder, self.save_every, self.stopping = folder, save_every, False
        folder.mkdir(parents=True, exist_ok=True)
        facts = folder / "run.json"
        if facts.exists() and {**json.loads(facts.read_text()), **{name: options[name] for name in changeable}} != options:
            raise SystemExit(f"{facts}: this run was started with {facts.read_text().strip()}, not with {json.dumps(options)}; name another folder")
        facts.write_text(json.dumps(options) + "\n")
        self.state_file, self.log_file = folder / "state.pt", folder / "log.csv"
        self.saved, self.seconds_before, self.started = time.monotonic(), 0.0, time.monotonic()
        self.processor_before, self.paused = 0.0, 0.0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, *_):
        self.stopping = True

    def seconds(self) -> float:
        """Wall time over all pieces of the run, pauses included."""
        return self.seconds_before + time.monotonic() - self.started

    def processor(self) -> float:
        """Processor seconds over all pieces of the run, without those of the workers that draw."""
        return self.processor_before + time.process_time()

    def load(self) -> dict | None:
        if not self.state_file.exists():
            return None
        state = torch.load(self.state_file, map_location="cpu")
        self.seconds_before, self.processor_before = state["seconds"], state.get("processor", 0.0)
        if self.log_file.exists():                                     # rows after the saved step will be written again
            rows = self.rows()
            self._write([r for r in rows if int(r["step"]) <= state["step"]])
        return state

    def pause(self):
        """Sleeps while the file `PAUSE` is there, unless the run is to stop."""
        begun = time.monotonic()
        while PAUSE.exists() and not self.stopping:
            time.sleep(1)
        self.paused += time.monotonic() - begun

    def due(self) -> bool:
        """Called after every step: sleeps while runs are paused; then says whether it is time to save."""
        self.pause()
        return self.stopping or time.monotonic() - self.saved > self.save_every

    def save(self, **state):
        save_atomically({**state, "seconds": self.seconds(), "processor": self.processor()}, self.state_file)
        self.saved = time.monotonic()

    def rows(self) -> list[dict]:
        with open(self.log_file, newline="") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[dict]):
        names = list(dict.fromkeys(name for row in rows for name in row))
        temporary = self.log_file.with_suffix(".part")
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, self.log_file)

    def log(self, **row):
        row = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in {**row, "seconds": self.seconds(), "processor": self.processor()}.items()}
        self._write([*(self.rows() if self.log_file.exists() else []), row])
        print(" ".join(f"{k} {v}" for k, v in row.items()), flush=True)

    def curve(self, columns: dict[str, str]):
        """Draws columns of the log (name -> label) over the steps into `loss.svg`."""
        rows = self.rows()
        series = {label: [(int(r["step"]), float(r[name])) for r in rows if r.get(name)] for name, label in columns.items()}
        (self.folder / "loss.svg").write_text(plot({k: v for k, v in series.items() if v}))


class Fit:
    """What a run of several optimizers steps, saves and restores: a module, its optimizers with their peak rates, its average, and the best weights by some score."""

    def __init__(self, run: Run, module: torch.nn.Module, optimizers: list[torch.optim.Optimizer], decay: float, factor):
        """`factor(step)` multiplies the peak of every learning rate."""
        self.run, self.module, self.optimizers, self.factor = run, module, optimizers, factor
        self.average, self.step, self.best = Average(module, decay), 0, -1.0
        self.restored = state = run.load()
        if state:
            self.restore(state)
            print(f"resumed at step {self.step}, after {run.seconds():.0f} s", flush=True)

    def restore(self, state: dict):
        """Goes on from the state of this or of another run."""
        self.module.load_state_dict(state["model"])
        for optimizer, values in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(values)
        self.average.restore(state["average"])
        self.step, self.best = state["step"], state["best"]

    def apply(self):
        """One step with the gradients that are there, clipped to norm 1."""
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * self.factor(self.step)
            optimizer.step()
        self.average.update()
        self.step += 1

    def keep_if_best(self, figures: dict[str, float]):
        """Writes the module's present weights to `best.pt` where the mean of `figures` is the highest so far."""
        if figures and (score := sum(figures.values()) / len(figures)) >= self.best:
            self.best = score
            save_atomically({"step": self.step, "figures": figures, "values": self.module.state_dict()}, self.run.folder / "best.pt")

    def save(self, **more):
        """Saves; what else there is to save is found again in `restored`."""
        self.run.save(**more, step=self.step, best=self.best, model=self.module.state_dict(), optimizers=[optimizer.state_dict() for optimizer in self.optimizers], average=self.average.state())

    def finish(self, steps: int, **more) -> bool:
        """Saves, and says whether all `steps` are done."""
        self.save(**more)
        print("finished" if self.step == steps else f"stopped at step {self.step}; the same command goes on", flush=True)
        return self.step == steps


def best(folder: pathlib.Path) -> dict[str, torch.Tensor]:
    """The weights that `keep_if_best` kept of a run, or its latest averaged ones."""
    kept = folder / "best.pt"
    return torch.load(kept)["values"] if kept.exists() else torch.load(folder / "state.pt")["average"]["values"]


def plot(series: dict[str, list[tuple[float, float]]], width: int = 640, height: int = 200) -> str:
    """One small panel per series, as SVG."""
    panels = []
    for i, (label, points) in enumerate(series.items()):
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
        px = lambda x: 60 + (width - 80) * (x - x0) / ((x1 - x0) or 1)
        py = lambda y: height * i + height - 30 - (height - 60) * (y - y0) / ((y1 - y0) or 1)
        line = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        panels.append(f'<text x="60" y="{height * i + 18}">{label}</text>'
                      f'<polyline fill="none" stroke="#3468c0" stroke-width="1.5" points="{line}"/>'
                      f'<text x="4" y="{py(y1) + 4:.0f}">{y1:.4g}</text><text x="4" y="{py(y0) + 4:.0f}">{y0:.4g}</text>'
                      f'<text x="60" y="{height * i + height - 10}">{x0:g}</text><text x="{width - 70}" y="{height * i + height - 10}">{x1:g}</text>'
                      f'<path d="M60 {height * i + 26} V{height * i + height - 26} H{width - 20}" fill="none" stroke="#999"/>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height * len(series)}" font-family="sans-serif" font-size="11">'
            f'<rect width="100%" height="100%" fill="#fff"/>{"".join(panels)}</svg>\n')


def save_json(path: pathlib.Path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
