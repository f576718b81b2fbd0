"""`scenes-vae`: AutoencoderKL with the parameter names of diffusers, 8x smaller latents of 16 channels; its training and its export."""
from __future__ import annotations

import dataclasses
import pathlib
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import data, fast, safetensors, training


@dataclasses.dataclass(frozen=True)
class Config:
    block_out_channels: tuple[int, ...] = (16, 32, 64, 128)
    layers_per_block: int = 1
    latent_channels: int = 16
    norm_num_groups: int = 8

    @staticmethod
    def of(json: dict) -> Config:
        return Config(tuple(json["block_out_channels"]), json["layers_per_block"], json["latent_channels"], json["norm_num_groups"])


# ------------------------------------------------------------------------------------------------------------------ the model

class GroupNorm(nn.GroupNorm):
    """With its parameters in the input's type: under autocast PyTorch 1.13 would otherwise go through float32 and back."""

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class ResnetBlock2D(nn.Module):
    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__()
        self.norm1 = GroupNorm(groups, inputs, eps=1e-6)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = GroupNorm(groups, outputs, eps=1e-6)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(fast.silu(self.norm1(x)))
        h = self.conv2(fast.silu(self.norm2(h)))
        return (self.conv_shortcut(x) if self.conv_shortcut is not None else x) + h


class Downsample2D(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample2D(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Attention(nn.Module):
    """One head over all positions, with its own norm and residual."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.group_norm = GroupNorm(groups, channels, eps=1e-6)
        self.to_q, self.to_k, self.to_v = nn.Linear(channels, channels), nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels), nn.Identity()])

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        t = self.group_norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c)
        weights = torch.softmax(torch.bmm(self.to_q(t), self.to_k(t).transpose(1, 2)).float() * c ** -0.5, -1)
        out = self.to_out[0](torch.bmm(weights.to(t.dtype), self.to_v(t).to(t.dtype)))
        return x + out.reshape(b, h, w, c).permute(0, 3, 1, 2)


class Block(nn.Module):
    """DownEncoderBlock2D or UpDecoderBlock2D."""

    def __init__(self, inputs: int, outputs: int, layers: int, groups: int, down: bool = False, up: bool = False):
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock2D(inputs if i == 0 else outputs, outputs, groups) for i in range(layers)])
        if down:
            self.downsamplers = nn.ModuleList([Downsample2D(outputs)])
        if up:
            self.upsamplers = nn.ModuleList([Upsample2D(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        for resnet in self.resnets:
            x = resnet(x)
        for resample in getattr(self, "downsamplers", None) or getattr(self, "upsamplers", ()):
            x = resample(x)
        return x


class MidBlock(nn.Module):
    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock2D(channels, channels, groups) for _ in range(2)])
        self.attentions = nn.ModuleList([Attention(channels, groups)])

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Encoder(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        widths = c.block_out_channels
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList([Block(widths[max(i - 1, 0)], w, c.layers_per_block, c.norm_num_groups, down=i < len(widths) - 1) for i, w in enumerate(widths)])
        self.mid_block = MidBlock(widths[-1], c.norm_num_groups)
        self.conv_norm_out = GroupNorm(c.norm_num_groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * c.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(fast.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        widths = c.block_out_channels[::-1]
        self.conv_in = nn.Conv2d(c.latent_channels, widths[0], 3, padding=1)
        self.mid_block = MidBlock(widths[0], c.norm_num_groups)
        self.up_blocks = nn.ModuleList([Block(widths[max(i - 1, 0)], w, c.layers_per_block + 1, c.norm_num_groups, up=i < len(widths) - 1) for i, w in enumerate(widths)])
        self.conv_norm_out = GroupNorm(c.norm_num_groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(fast.silu(self.conv_norm_out(x)))


class AutoencoderKL(nn.Module):
    def __init__(self, config: Config = Config()):
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents of pictures in -1..1."""
        mean, log_variance = self.encoder(x).float().chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z).float()


def load(folder: pathlib.Path) -> tuple[AutoencoderKL, dict]:
    """The exported autoencoder of `folder` and its configuration."""
    import json
    config = json.loads((folder / "config.json").read_text())
    model = AutoencoderKL(Config.of(config))
    model.load_state_dict({k: v.float() for k, v in safetensors.load_folder(folder).items()})
    return model.eval(), config


# --------------------------------------------------------------------------------------------------------------- measuring

def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Per picture, in dB, of pictures in -1..1."""
    return 10 * torch.log10(4 / ((a - b) ** 2).mean((1, 2, 3)).clamp_min(1e-12))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Per picture: structural similarity of luma with a Gaussian window of 11 pixels, sigma 1.5 (Wang et al. 2004)."""
    luma = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
    a, b = (((x + 1) / 2 * luma).sum(1, keepdim=True) for x in (a, b))
    g = torch.exp(-((torch.arange(11) - 5.0) ** 2) / (2 * 1.5 ** 2))
    window = (g[:, None] * g[None, :] / g.sum() ** 2)[None, None]
    blur = lambda x: F.conv2d(x, window)
    ma, mb = blur(a), blur(b)
    va, vb, cab = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
    return ((2 * ma * mb + 1e-4) * (2 * cab + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4))).mean((1, 2, 3))


@torch.no_grad()
def reconstruct(model: AutoencoderKL, pictures: Tensor, batch: int = 16) -> Tensor:
    """Decoded means of uint8 pictures, clamped to -1..1."""
    parts = []
    for part in pictures.split(batch):
        mean, _ = model.encode(data.to_float(part).contiguous(memory_format=torch.channels_last))
        parts.append(model.decode(mean).clamp(-1, 1))
    return torch.cat(parts)


def quality(model: AutoencoderKL, pictures: Tensor) -> tuple[float, float]:
    """Mean PSNR and SSIM of the reconstructions."""
    truth, result = data.to_float(pictures), reconstruct(model, pictures)
    return float(psnr(truth, result).mean()), float(ssim(truth, result).mean())


# ---------------------------------------------------------------------------------------------------------------- training

@dataclasses.dataclass(frozen=True)
class Options:
    """First crops, which teach the same local structure at a quarter of the cost, then whole frames."""
    seed: int = 0
    crop_steps: int = 4000
    frame_steps: int = 1000
    crop_batch: int = 16
    frame_batch: int = 8
    crop: int = 64
    rate: float = 1e-3
    warmup: int = 300
    kl: float = 3e-3
    gradient: float = 0.5
    average: float = 0.998


def loss_terms(model: AutoencoderKL, o: Options, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Total loss, L1 and KL of pictures in -1..1; `noise` has the shape of the latents.

    In float32: where a crop is nearly one colour, group norm magnifies what bfloat16 rounds away, and the gradients become noise (norms of 5
    instead of 1 in the first hundred steps). It costs 15 % on crops and 30 % on frames.
    """
    mean, log_variance = model.encode(x.contiguous(memory_format=torch.channels_last))
    y = model.decode(mean + torch.exp(0.5 * log_variance) * noise)
    difference = y - x
    l1 = difference.abs().mean()
    gradients = (difference[..., :, 1:] - difference[..., :, :-1]).abs().mean() + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    kl = 0.5 * (mean ** 2 + log_variance.exp() - 1 - log_variance).mean()
    return l1 + o.gradient * gradients + o.kl * kl, l1, kl


def train(folder: pathlib.Path, o: Options, log_every: int = 200, evaluate_every: int = 2000):
    run = training.Run(folder, dataclasses.asdict(o))
    torch.manual_seed(o.seed)
    model = AutoencoderKL().to(memory_format=torch.channels_last)
    halves = training.Halves(list(model.parameters()))
    total = o.crop_steps + o.frame_steps
    fit = training.Fit(run, model, [training.adamw(model.parameters(), o.rate)], o.average, lambda step: training.cosine(step, total, o.warmup))
    noise = torch.Generator().manual_seed(o.seed + 1)
    if fit.restored:
        noise.set_state(fit.restored["noise"])
    else:
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {total} steps", flush=True)

    held = data.held_out(64)
    sums, count, begun = torch.zeros(3), 0, time.monotonic()

    while fit.step < total and not run.stopping:
        crops = fit.step < o.crop_steps
        if crops:
            loader = data.batches(data.Pictures(o.seed, data.TRAIN, o.crop), o.crop_batch, fit.step, o.crop_steps)
        else:                                                          # the streams of both phases do not overlap
            offset = -(-o.crop_steps * o.crop_batch // o.frame_batch) - o.crop_steps
            loader = data.batches(data.Pictures(o.seed, data.TRAIN), o.frame_batch, fit.step + offset, total + offset)
        for pictures in loader:
            x = data.to_float(pictures)
            epsilon = torch.randn(len(x), model.config.latent_channels, x.shape[2] // 8, x.shape[3] // 8, generator=noise)
            terms = halves.backward(lambda *half: loss_terms(model, o, *half), x, epsilon)
            fit.apply()
            sums += torch.stack(terms)
            count += 1
            if fit.step % log_every == 0 or fit.step == total:
                row = {"step": fit.step, "phase": "crops" if crops else "frames", **{k: float(v) / count for k, v in zip(("loss", "l1", "kl"), sums)}}
                row["pictures_per_second"] = count * len(pictures) / (time.monotonic() - begun)
                if fit.step % evaluate_every == 0 or fit.step == total:
                    fit.average.swap()
                    row["psnr"], row["ssim"] = quality(model, held)
                    fit.average.swap()
                run.log(**row)
                run.curve({"loss": "loss (L1 + gradients + KL)", "psnr": "PSNR of 64 held-out pictures, dB", "ssim": "SSIM"})
                sums, count, begun = torch.zeros(3), 0, time.monotonic()
            if run.due():
                fit.save(noise=noise.get_state())
            if run.stopping:
                break
    fit.save(noise=noise.get_state())
    print("finished" if fit.step == total else f"stopped at step {fit.step}; the same command goes on", flush=True)


# ------------------------------------------------------------------------------------------------------------------ export

def settings(c: Config, scaling_factor: float, shift_factor: float) -> dict:
    """config.json as diffusers writes it."""
    blocks = len(c.block_out_channels)
    return {
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.30.0", "act_fn": "silu", "block_out_channels": list(c.block_out_channels),
        "down_block_types": ["DownEncoderBlock2D"] * blocks, "force_upcast": False, "in_channels": 3, "latent_channels": c.latent_channels,
        "latents_mean": None, "latents_std": None, "layers_per_block": c.layers_per_block, "mid_block_add_attention": True, "norm_num_groups": c.norm_num_groups,
        "out_channels": 3, "sample_size": data.SIZE, "scaling_factor": scaling_factor, "shift_factor": shift_factor, "up_block_types": ["UpDecoderBlock2D"] * blocks,
        "use_post_quant_conv": False, "use_quant_conv": False,
    }


@torch.no_grad()
def scale_latents(model: AutoencoderKL, deviations: Tensor):
    """Divides the latents by `deviations`, channel by channel: exact in the two convolutions that touch them."""
    n = model.config.latent_channels
    encoder, decoder = model.encoder.conv_out, model.decoder.conv_in
    encoder.weight[:n] /= deviations[:, None, None, None]
    encoder.bias[:n] /= deviations
    encoder.bias[n:] -= 2 * deviations.log()
    decoder.weight *= deviations[None, :, None, None]


@torch.no_grad()
def export(run_folder: pathlib.Path, folder: pathlib.Path, pictures: int = 1024, held: int = 512):
    """Writes the averaged weights in diffusers' layout, with latents scaled to the same deviation in every channel."""
    state = torch.load(run_folder / "state.pt", map_location="cpu")
    model = AutoencoderKL()
    model.load_state_dict(state["average"]["values"])
    model.eval().to(memory_format=torch.channels_last)

    def moments():
        source = data.Pictures(0, data.TRAIN)
        latents = torch.cat([model.encode(data.to_float(torch.stack([source[(1 << 30) + i + j] for j in range(16)])).contiguous(memory_format=torch.channels_last))[0] for i in range(0, pictures, 16)])
        return latents.mean((0, 2, 3)), latents.std((0, 2, 3)), float(latents.mean()), float(latents.std())

    means, deviations, _, _ = moments()
    print("deviations of the channels:", " ".join(f"{v:.3f}" for v in deviations))
    scale_latents(model, deviations)
    means, deviations, mean, deviation = moments()

    config = settings(model.config, round(1 / deviation, 6), round(mean, 6))
    safetensors.save(folder / "diffusion_pytorch_model.safetensors", model.state_dict(), torch.float16)
    training.save_json(folder / "config.json", config)
    written, _ = load(folder)
    db, similarity = quality(written, data.held_out(held))
    report = {"step": state["step"], "seconds": round(state["seconds"]), "processor_seconds": round(state.get("processor", 0)), "held_out_pictures": held, "psnr": round(db, 3), "ssim": round(similarity, 4),
              "scaling_factor": config["scaling_factor"], "shift_factor": config["shift_factor"], "channel_means": [round(float(v), 3) for v in means]}
    training.save_json(run_folder / "export.json", report)
    print(report)
    show(written, run_folder / "reconstructions.png")


def show(model: AutoencoderKL, path: pathlib.Path, count: int = 30):
    """A sheet of held-out renders, each with its reconstruction below it."""
    from PIL import Image
    from . import sheet
    pictures = data.held_out(count)
    truth, result = data.to_float(pictures), reconstruct(model, pictures)
    db = psnr(truth, result)
    image = lambda x: Image.fromarray(((x + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())
    shown, labels = [], []
    for i in range(0, count, 10):
        shown += [image(x) for x in truth[i:i + 10]] + [image(x) for x in result[i:i + 10]]
        labels += [""] * len(truth[i:i + 10]) + [f"{float(v):.1f} dB" for v in db[i:i + 10]]
    sheet.grid(shown, labels, 10).save(path)
