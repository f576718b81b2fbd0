"""Draws the figures of docs/: python3 tools/docs/figures.py. Vectors are computed with the rules' formulas, so that the pictures are to scale."""
import math
import os

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
BLUE, RED, GREEN, VIOLET, GREY, LIGHT, AMBER = "#1f6fb4", "#c0392b", "#1e8449", "#7d5ba6", "#7a7a7a", "#d9dde3", "#b9770e"


class Figure:
    def __init__(self, width, height, title):
        self.width, self.height, self.title, self.parts = width, height, title, []

    def add(self, text):
        self.parts.append(text)

    def line(self, x1, y1, x2, y2, color=GREY, width=1.4, dash=None, head=False):
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        if head:
            length = math.hypot(x2 - x1, y2 - y1)
            if length < 1e-6:
                return
            ux, uy = (x2 - x1) / length, (y2 - y1) / length
            size = min(9, length * .6)
            bx, by = x2 - ux * size, y2 - uy * size
            self.add(f'<polygon points="{x2:.1f},{y2:.1f} {bx - uy * size * .42:.1f},{by + ux * size * .42:.1f} {bx + uy * size * .42:.1f},{by - ux * size * .42:.1f}" fill="{color}"/>')
            x2, y2 = x2 - ux * size * .8, y2 - uy * size * .8
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"{dashes}/>')

    def text(self, x, y, text, color="#222", size=14, anchor="start", weight="normal", style="normal"):
        text = text.replace("&", "&amp;").replace("<", "&lt;")
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" font-style="{style}">{text}</text>')

    def lines(self, x, y, rows, step=22, size=13):
        for i, row in enumerate(rows):
            text, color = row if isinstance(row, tuple) else (row, "#333")
            self.text(x, y + i * step, text, color, size)

    def rect(self, x, y, width, height, fill=LIGHT, stroke="none", radius=4, dash=None, opacity=1):
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.add(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}" fill="{fill}" stroke="{stroke}" fill-opacity="{opacity}"{dashes}/>')

    def box(self, x, y, width, height, text, fill=LIGHT, color="#222", stroke="none", size=13, dash=None):
        self.rect(x, y, width, height, fill, stroke, dash=dash)
        self.text(x + width / 2, y + height / 2 + size * .36, text, color, size, "middle")

    def path(self, points, color=GREY, width=1.8, fill="none", dash=None, close=False):
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        d = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points) + (" Z" if close else "")
        self.add(f'<path d="{d}" fill="{fill}" stroke="{color}" stroke-width="{width}"{dashes}/>')

    def circle(self, x, y, r, stroke=GREY, fill="none", dash=None):
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="{fill}" stroke="{stroke}" stroke-width="1.3"{dashes}/>')

    def save(self, name):
        body = "\n".join(self.parts)
        with open(os.path.join(ROOT, name), "w", newline="\n") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}" '
                       f'font-family="DejaVu Sans, Verdana, Arial, sans-serif" role="img" aria-label="{self.title}">\n<title>{self.title}</title>\n'
                       f'<rect width="{self.width}" height="{self.height}" rx="8" fill="#ffffff"/>\n{body}\n</svg>\n')


class Plane:
    """Vectors drawn from an origin, in units of so many pixels."""

    def __init__(self, figure, x, y, unit, axes=None):
        self.figure, self.x, self.y, self.unit = figure, x, y, unit
        if axes:
            figure.line(x, y, x + axes[0], y, LIGHT, 1.2)
            figure.line(x, y - axes[1], x, y + axes[2], LIGHT, 1.2)

    def at(self, v):
        return self.x + v[0] * self.unit, self.y - v[1] * self.unit

    def arrow(self, a, b, color, label="", dx=6, dy=-6, dash=None, width=2.2, size=15, anchor="start"):
        (x1, y1), (x2, y2) = self.at(a), self.at(b)
        self.figure.line(x1, y1, x2, y2, color, width, dash, head=True)
        if label:
            self.figure.text(x2 + dx, y2 + dy, label, color, size, anchor, "bold")

    def dotted(self, a, b, color=GREY):
        self.figure.line(*self.at(a), *self.at(b), color, 1.2, "4 4")


def add(a, b, scale=1.0):
    return a[0] + scale * b[0], a[1] + scale * b[1]


def mul(a, scale):
    return a[0] * scale, a[1] * scale


def dot(a, b):
    return a[0] * b[0] + a[1] * b[1]


def norm(a):
    return math.hypot(*a)


O = (0, 0)


def nag():
    f = Figure(760, 330, "NAG: extrapolate away from the negative output, bound the norm, blend")
    p = Plane(f, 60, 205, 185, (420, 170, 100))
    plus, minus, phi, tau, alpha = (1.0, .62), (.74, .9), 4, 1.1, .5
    tilde = add(plus, add(plus, minus, -1), phi)
    bound = tau * (abs(plus[0]) + abs(plus[1]))
    hat = mul(tilde, bound / (abs(tilde[0]) + abs(tilde[1])))
    result = add(mul(hat, alpha), mul(plus, 1 - alpha))
    f.path([p.at((1.05, bound - 1.05)), p.at((bound, 0)), p.at((bound - .45, -.45))], AMBER, 1.5, dash="6 4")
    f.text(*[c + d for c, d in zip(p.at((bound - .2, .2)), (10, -4))], "|·|₁ = τ |Z⁺|₁", AMBER, 13)
    p.arrow(plus, tilde, VIOLET, "Z̃", 8, 6, dash="5 4", width=1.6)
    p.dotted(minus, plus, RED)
    p.arrow(O, minus, RED, "Z⁻", -4, -10)
    p.arrow(O, plus, BLUE, "Z⁺", 8, -4)
    p.arrow(O, hat, VIOLET, "Ẑ", -26, 22)
    p.dotted(hat, plus, GREEN)
    p.arrow(O, result, GREEN, "result", 8, 5)
    f.lines(505, 62, [("Z⁺  over the prompt's text", BLUE), ("Z⁻  over the negative text", RED), ("Z̃ = Z⁺ + φ (Z⁺ − Z⁻)", VIOLET), ("R = |Z̃|₁ / |Z⁺|₁   per token", AMBER), ("Ẑ = Z̃ min(R, τ) / R", VIOLET), ("result = α Ẑ + (1 − α) Z⁺", GREEN)], 27)
    f.text(505, 250, "drawn with φ = 4, τ = 1.1, α = 0.5", GREY, 12)
    f.save("guidance/images/nag.svg")


def nasa():
    f = Figure(760, 290, "NASA: subtract a share of the negative output")
    p = Plane(f, 60, 215, 190, (400, 180, 40))
    plus, minus, scale = (1.35, .5), (.85, .95), .45
    result = add(plus, minus, -scale)
    p.arrow(O, minus, RED, "Z⁻", 6, -6)
    p.arrow(O, plus, BLUE, "Z⁺", 8, 0)
    p.arrow(plus, result, RED, "", dash="5 4", width=1.6)
    f.text(*[c + d for c, d in zip(p.at(mul(add(plus, result), .5)), (8, 14))], "− s Z⁻", RED, 14)
    p.arrow(O, result, GREEN, "result", 8, 14)
    f.lines(505, 80, [("result = Z⁺ − s Z⁻", GREEN), "What both outputs share is taken", "away too, and no norm is kept:", "the result is shorter than Z⁺."], 25)
    f.text(505, 205, "drawn with s = 0.45", GREY, 12)
    f.save("guidance/images/nasa.svg")


def gag():
    f = Figure(760, 330, "GAG: the discrepancy of sparse and dense attention, split along the sparse output")
    p = Plane(f, 40, 265, 205, (440, 230, 20))
    s, d, lam, eta = (1.22, .55), (.62, .82), 1.5, .42
    r = add(s, d, -1)
    along = dot(r, s) / dot(s, s)
    par = mul(s, along)
    orth = add(r, par, -1)
    bounded = mul(par, min(1, eta / norm(par)))
    result = add(s, bounded, lam)
    p.arrow(s, result, GREEN, "result", 8, 4, width=2.6)
    p.arrow(O, s, BLUE, "s", -2, 24)
    p.arrow(O, d, RED, "d", -6, -10)
    p.arrow(d, s, VIOLET, "", width=1.8)
    f.text(*[c + q for c, q in zip(p.at(mul(add(s, d), .5)), (4, -8))], "r", VIOLET, 15, weight="bold")
    foot = add(d, orth)
    p.arrow(d, foot, GREY, "", dash="4 3", width=1.6)
    f.text(*[c + q for c, q in zip(p.at(foot), (-46, 20))], "orth", GREY, 13)
    p.arrow(foot, s, AMBER, "", width=2.2)
    f.text(*[c + q for c, q in zip(p.at(mul(add(foot, s), .5)), (6, 20))], "par", AMBER, 13, weight="bold")
    f.text(*[c + q for c, q in zip(p.at(mul(add(s, result), .5)), (8, 22))], "λ par, bounded by η", GREEN, 13)
    f.lines(505, 62, [("d   softmax over the text", RED), ("s   α-entmax over the text", BLUE), ("r = s − d", VIOLET), ("par = (r·s / s·s) s,  orth = r − par", AMBER), ("G = par + ζ orth", GREY), ("result = s + λ G min(1, η / |G|)", GREEN)], 27)
    f.text(505, 250, "for each head and row; ζ = 0", GREY, 12)
    f.save("guidance/images/gag.svg")


def entmax15(z):
    x = [(v - max(z)) / 2 for v in z]
    tau = -1.0
    for _ in range(60):
        above = [max(0, v - tau) for v in x]
        tau += (sum(a * a for a in above) - 1) / (2 * sum(above))
    return [max(0, v - tau) ** 2 for v in x]


def bars(f, x, y, values, height, color, width=26, gap=8, top=1.0):
    f.line(x - 6, y, x + len(values) * (width + gap), y, GREY, 1.2)
    for i, value in enumerate(values):
        h = abs(value) / top * height
        f.rect(x + i * (width + gap), y - h if value >= 0 else y, width, h, color if value >= 0 else RED, radius=2)


def pladis():
    f = Figure(760, 330, "PLADIS: weights of dense, sparse and extrapolated attention over the text")
    z = [2.0, 1.3, .4, 0.0, -.3, -.9]
    total = sum(math.exp(v) for v in z)
    dense = [math.exp(v) / total for v in z]
    sparse = entmax15(z)
    mixed = [d + 2 * (s - d) for d, s in zip(dense, sparse)]
    for x, values, color, title in ((40, dense, BLUE, "dense: softmax"), (285, sparse, VIOLET, "sparse: α-entmax, α = 1.5"), (530, mixed, GREEN, "result: dense + 2 (sparse − dense)")):
        bars(f, x, 235, values, 165, color, 24, 8, .95)
        f.text(x + 93, 34, title, color, 13, "middle", "bold")
    for x in (40, 285, 530):
        for i in range(6):
            f.text(x + i * 32 + 12, 288, str(i + 1), GREY, 11, "middle")
    f.text(380, 314, "text tokens; below the line a token's value is pushed away. All three add up to 1.", GREY, 12, "middle")
    f.save("guidance/images/pladis.svg")


def vsf():
    f = Figure(760, 320, "VSF: negative keys in the same softmax, with their values' sign flipped")
    f.text(30, 38, "one latent's softmax", "#333", 13, weight="bold")
    weights = [.10, .16, .13, .06, .05, .21, .14, .08, .05, .02]
    for i, w in enumerate(weights):
        x = 40 + i * 46
        negative = i >= 7
        f.rect(x, 170 - w * 460, 32, w * 460, RED if negative else BLUE if i < 3 else LIGHT, radius=2)
        f.box(x - 2, 195, 36, 30, "k⁻" if negative else "k", "#fbe9e7" if negative else "#eef3f8", RED if negative else "#333", size=13)
        f.box(x - 2, 235, 36, 30, "−s v⁻" if negative else "v", "#fbe9e7" if negative else "#eef3f8", RED if negative else "#333", size=12 if negative else 13)
    f.line(30, 170, 500, 170, GREY, 1.2)
    f.text(107, 292, "prompt's text", BLUE, 12, "middle")
    f.text(250, 292, "latents", GREY, 12, "middle")
    f.text(425, 292, "negative text", RED, 12, "middle")
    f.lines(540, 80, ["Negative logits: q·k⁻ − offset.", "Negative values: −s v⁻.", "", "A latent that attends to the", "negative text is pushed away", "from it, and from nothing else."], 24)
    f.save("guidance/images/vsf.svg")


def cfg():
    f = Figure(760, 280, "CFG: extrapolate from the negative prediction through the prompt's")
    p = Plane(f, 70, 215, 150, (430, 180, 30))
    u, c, w = (.75, .95), (1.15, .78), 3
    result = add(u, add(c, u, -1), w)
    p.arrow(O, u, RED, "u", -6, -8)
    p.arrow(O, c, BLUE, "c", 0, -10)
    p.dotted(u, result)
    p.arrow(O, result, GREEN, "u + w (c − u)", 8, 6)
    f.lines(520, 80, [("u   negative prompt: a second pass", RED), ("c   prompt", BLUE), ("w = 1 gives c", GREY), ("drawn with w = 3", GREY)], 26)
    f.save("guidance/images/cfg.svg")


def cfg_zero_star():
    f = Figure(760, 290, "CFG-Zero*: fit the negative prediction to the prompt's before extrapolating")
    p = Plane(f, 70, 240, 112, (430, 205, 20))
    u, c, w = (.85, 1.7), (1.85, 1.0), 2.3
    a = dot(c, u) / dot(u, u)
    au = mul(u, a)
    result = add(au, add(c, au, -1), w)
    p.arrow(O, u, "#e6b0aa", "u", -8, -8)
    p.arrow(O, au, RED, "a u", -46, 2)
    p.dotted(c, au)
    p.arrow(O, c, BLUE, "c", 4, -10)
    p.dotted(au, result)
    p.arrow(O, result, GREEN, "a u + w (c − a u)", 8, 6)
    f.lines(535, 80, ["a = ⟨c, u⟩ / |u|²: the foot of", "the perpendicular from c onto u.", "", "The first steps predict zero."], 25)
    f.save("guidance/images/cfg-zero-star.svg")


def apg():
    f = Figure(760, 310, "APG: keep of the difference what is perpendicular to the prompt's prediction")
    p = Plane(f, 70, 250, 165, (430, 215, 30))
    u, c, w = (1.15, .38), (1.12, .98), 2.3
    d = add(c, u, -1)
    par = mul(c, dot(d, c) / dot(c, c))
    orth = add(d, par, -1)
    result = add(u, orth, w)
    p.arrow(O, c, BLUE, "c", 6, -6)
    p.arrow(O, u, RED, "u", 8, 14)
    p.arrow(u, c, VIOLET, "", width=1.8)
    f.text(*[q + e for q, e in zip(p.at(mul(add(u, c), .5)), (10, 4))], "D", VIOLET, 15, weight="bold")
    p.arrow(u, add(u, orth), AMBER, "", width=2.4)
    f.text(*[q + e for q, e in zip(p.at(add(u, orth)), (-50, 10))], "D⊥", AMBER, 15, weight="bold")
    p.dotted(add(u, orth), c)
    p.arrow(add(u, orth), result, GREEN, "", dash="5 4", width=1.6)
    p.arrow(O, result, GREEN, "result", -34, -12)
    f.lines(520, 70, [("D = c − u, plus momentum times", VIOLET), ("the sum of earlier ones, cut to", VIOLET), ("a norm", VIOLET), ("D∥ along c saturates colours:", GREY), ("it counts η times (here 0)", GREY), ("result = u + w (D⊥ + η D∥)", GREEN)], 25)
    f.save("guidance/images/apg.svg")


def tcfg():
    f = Figure(760, 300, "TCFG: only the part of u along the common direction of c and u counts")
    p = Plane(f, 70, 240, 140, (430, 200, 30))
    u, c, w = (.55, 1.25), (1.5, .8), 2
    g = .5 * math.atan2(2 * dot(c, u), dot(c, c) - dot(u, u))
    x, y = math.cos(g), math.sin(g)
    v = add(mul(c, x), mul(u, y))
    v = mul(v, 1 / norm(v))
    tamed = mul(v, dot(u, v))
    result = add(tamed, add(c, tamed, -1), w)
    p.dotted(O, mul(v, 2.3), AMBER)
    f.text(*[q + e for q, e in zip(p.at(mul(v, 2.3)), (-4, -8))], "v₁", AMBER, 14, weight="bold")
    p.arrow(O, u, "#e6b0aa", "u", -8, -8)
    p.dotted(u, tamed)
    p.arrow(O, tamed, RED, "u′", 4, -12)
    p.arrow(O, c, BLUE, "c", 2, 22)
    p.dotted(tamed, result)
    p.arrow(O, result, GREEN, "u′ + w (c − u′)", 8, 10)
    f.lines(535, 70, ["v₁: first right singular vector", "of the two rows [c; u].", "u′ = ⟨u, v₁⟩ v₁ drops what of u", "lies beside both predictions."], 25)
    f.save("guidance/images/tcfg.svg")


def chart(f, x, y, width, height, xlabel, ylabel):
    f.line(x, y, x + width + 8, y, GREY, 1.2, head=True)
    f.line(x, y, x, y - height - 8, GREY, 1.2, head=True)
    f.text(x + width / 2, y + 36, xlabel, GREY, 12, "middle")
    f.text(x - 8, y - height - 16, ylabel, GREY, 12)


def mambo():
    f = Figure(760, 300, "MAMBO-G: the effective scale falls with the size of the difference")
    chart(f, 70, 235, 380, 170, "|c − u| / |u|", "effective scale w")
    for scale, alpha, color in ((10, 8, GREEN), (10, 3, BLUE)):
        points = [(70 + i * 3.8, 235 - 170 * (1 + (scale - 1) * math.exp(-alpha * i / 100)) / 10.5) for i in range(101)]
        f.path(points, color, 2.4)
        f.text(152 if alpha == 8 else 222, 178 if alpha == 8 else 135, f"alpha {alpha}", color, 13)
    f.path([(70, 235 - 170 / 10.5), (450, 235 - 170 / 10.5)], GREY, 1.2, dash="4 4")
    f.text(455, 223, "1: the prompt alone", GREY, 12)
    for i in range(0, 6):
        f.text(70 + i * 76, 253, f"{i * .2:.1f}", GREY, 11, "middle")
    f.text(60, 70, "10", GREY, 11, "end")
    f.text(230, 90, "scale 10", GREY, 12)
    f.lines(535, 80, ["w = 1 + (scale − 1) e^(−alpha r)", "r = |c − u| / |u|", "", "Early steps differ most: they", "are amplified least."], 25)
    f.save("guidance/images/mambo-g.svg")


def perp_neg():
    f = Figure(760, 310, "Perp-Neg: only the part of the negative direction beside the prompt's is taken away")
    p = Plane(f, 80, 225, 160, (430, 195, 60))
    positive, negative, s = (1.35, .35), (.75, .95), .75
    along = dot(negative, positive) / dot(positive, positive)
    perp = add(negative, positive, -along)
    direction = add(positive, perp, -s)
    p.arrow(O, negative, RED, "n", -4, -8)
    p.arrow(O, positive, BLUE, "p", 6, -8)
    p.arrow(mul(positive, along), negative, AMBER, "", width=2)
    f.text(*[q + e for q, e in zip(p.at(add(mul(positive, along), mul(perp, .5))), (10, -2))], "n⊥", AMBER, 15, weight="bold")
    p.arrow(positive, direction, AMBER, "", dash="5 4", width=1.8)
    f.text(*[q + e for q, e in zip(p.at(add(positive, perp, -s * .5)), (10, 6))], "− s n⊥", AMBER, 13)
    p.arrow(O, direction, GREEN, "p − s n⊥", 10, 8)
    f.text(66, 246, "e", GREY, 15, weight="bold")
    f.lines(520, 80, [("e   empty prompt: a third pass", GREY), ("p = c − e,  n = u − e", BLUE), ("n⊥ = n − (⟨n, p⟩ / |p|²) p", AMBER), ("result = e + w (p − s n⊥)", GREEN), "What n shares with p is kept."], 26)
    f.save("guidance/images/perp-neg.svg")


def rescale():
    f = Figure(760, 280, "Rescale: bring the guided prediction back to the prompt's standard deviation")
    chart(f, 60, 220, 400, 160, "values of the prediction", "how many")
    for deviation, color, label, x in ((.55, BLUE, "c", 268), (1.15, RED, "g, guided", 380), (.73, GREEN, "result, share 0.7", 292)):
        points = [(60 + i * 4, 220 - 88 / deviation * math.exp(-.5 * ((i - 50) / 12.5 / deviation) ** 2)) for i in range(101)]
        f.path(points, color, 2.2)
    f.text(236, 84, "c", BLUE, 14, weight="bold")
    f.text(294, 118, "result", GREEN, 13, weight="bold")
    f.text(374, 186, "g, guided", RED, 13)
    f.lines(505, 80, ["g′ = g std(c) / std(g)", ("result = share g′ + (1 − share) g", GREEN), "", "Guidance widens the prediction,", "which overexposes pictures."], 25)
    f.save("guidance/images/rescale.svg")


def norm_keeping():
    f = Figure(760, 280, "Norm keeping: every token's guided prediction gets back the norm of the prompt's")
    p = Plane(f, 60, 225, 120, (430, 190, 30))
    c, g = (1.25, .95), (2.6, .75)
    radius = norm(c)
    f.path([p.at((radius * math.cos(t / 50), radius * math.sin(t / 50))) for t in range(-8, 76)], AMBER, 1.5, dash="6 4")
    p.arrow(O, c, BLUE, "c", 2, -10)
    p.arrow(O, g, RED, "g, guided", -20, -12)
    p.arrow(O, mul(g, radius / norm(g)), GREEN, "result", -52, 30, width=2.8)
    f.text(*[q + e for q, e in zip(p.at((.30, 1.54)), (-20, -12))], "|c|", AMBER, 14)
    f.lines(505, 80, [("result = g |c| / |g|", GREEN), "at every token, over the channels.", "", "The direction is the guided one,", "the length the prompt's."], 25)
    f.save("guidance/images/norm-keeping.svg")


def thresholding():
    f = Figure(760, 290, "Dynamic thresholding: clamp the clean sample to a quantile and divide by it")
    cx = 250
    f.line(40, 215, 462, 215, GREY, 1.2)
    for s, color, width in ((1.9, RED, 1.9),):
        f.path([(40 + i * 4.2, 215 - 130 * math.exp(-abs(i - 50) / 13)) for i in range(101)], color, width)
    for x, label in ((cx - 133, "−s"), (cx + 133, "s")):
        f.line(x, 60, x, 222, AMBER, 1.5, "6 4")
        f.text(x, 240, label, AMBER, 14, "middle", "bold")
    for x, label in ((cx - 70, "−1"), (cx + 70, "1")):
        f.line(x, 209, x, 222, GREY, 1.4)
        f.text(x, 240, label, GREY, 12, "middle")
    f.line(cx + 133, 90, cx + 72, 90, GREEN, 2, head=True)
    f.line(cx - 133, 90, cx - 72, 90, GREEN, 2, head=True)
    f.text(cx + 140, 82, "clamp, then ÷ s", GREEN, 13)
    f.text(cx, 268, "values of the clean sample x₀", GREY, 12, "middle")
    f.lines(520, 80, ["s = quantile of |x₀|, within 1 to max", ("x₀′ = clamp(x₀, −s, s) / s", GREEN), "", "Made for pixels within −1 to 1."], 25)
    f.save("guidance/images/dynamic-thresholding.svg")


def grid(f, x, y, n, cell, weight, color=BLUE):
    for i in range(n):
        for j in range(n):
            f.rect(x + j * cell, y + i * cell, cell - 2, cell - 2, color, radius=1, opacity=max(.06, min(1, weight(i, j))))


def pag():
    f = Figure(760, 300, "PAG: away from a pass whose self-attention maps are the identity")
    grid(f, 50, 70, 9, 16, lambda i, j: .9 * math.exp(-abs(i - j) / 2.2) + (.5 if (i * 5 + j * 3) % 7 == 0 else 0))
    grid(f, 260, 70, 9, 16, lambda i, j: 1 if i == j else .05, RED)
    f.text(121, 52, "attention map", BLUE, 13, "middle", "bold")
    f.text(331, 52, "replaced by identity", RED, 13, "middle", "bold")
    f.line(121, 222, 121, 240, GREY, 1.5, head=True)
    f.line(331, 222, 331, 240, GREY, 1.5, head=True)
    f.text(121, 260, "c", BLUE, 16, "middle", "bold")
    f.text(331, 260, "c perturbed", RED, 15, "middle", "bold")
    f.lines(475, 95, ["In chosen layers each latent sees", "itself alone: output = values.", "", ("result = guided + s (c − c perturbed)", GREEN), "", "One more pass; no negative prompt."], 25)
    f.save("guidance/images/pag.svg")


def seg():
    f = Figure(760, 300, "SEG: away from a pass whose queries are blurred over the grid of latents")
    values = [[(.25 if (i * 3 + j * 5) % 4 else 0) + (.75 if math.hypot(i - 2, j - 2) < 2.2 or math.hypot(i - 5.5, j - 5.5) < 1.6 else .05) for j in range(8)] for i in range(8)]

    def blurred(i, j, sigma=1.3):
        total, weight = 0, 0
        for a in range(8):
            for b in range(8):
                w = math.exp(-((a - i) ** 2 + (b - j) ** 2) / 2 / sigma ** 2)
                total, weight = total + w * values[a][b], weight + w
        return total / weight
    grid(f, 50, 70, 8, 18, lambda i, j: values[i][j])
    grid(f, 260, 70, 8, 18, blurred, RED)
    f.text(121, 52, "queries", BLUE, 13, "middle", "bold")
    f.text(331, 52, "blurred queries", RED, 13, "middle", "bold")
    f.line(121, 222, 121, 240, GREY, 1.5, head=True)
    f.line(331, 222, 331, 240, GREY, 1.5, head=True)
    f.text(121, 260, "c", BLUE, 16, "middle", "bold")
    f.text(331, 260, "c blurred", RED, 15, "middle", "bold")
    f.lines(475, 95, ["Blurred queries smooth the energy", "landscape of attention. With infinite", "sigma all queries are their mean.", ("result = guided + s (c − c blurred)", GREEN), "", "One more pass; no negative prompt."], 25)
    f.save("guidance/images/seg.svg")


def stack(f, x, title, color, skipped, result):
    f.text(x + 55, 34, title, color, 13, "middle", "bold")
    for i in range(6):
        y = 48 + i * 31
        if i in skipped:
            f.box(x, y, 110, 22, "left out", "#ffffff", GREY, GREY, 11, dash="4 3")
        else:
            f.box(x, y, 110, 22, f"block", "#e8f0f8" if color == BLUE else "#fbe9e7", "#333", size=12)
        if i:
            f.line(x + 55, y - 9, x + 55, y, GREY, 1.3)
    f.line(x + 55, 225, x + 55, 243, GREY, 1.5, head=True)
    f.text(x + 55, 262, result, color, 15, "middle", "bold")


def slg():
    f = Figure(760, 290, "Skip-layer guidance: away from a pass that leaves out some blocks")
    stack(f, 60, "the model", BLUE, (), "c")
    stack(f, 250, "some blocks skipped", RED, (2, 3), "c skipped")
    f.lines(440, 95, [("result = guided + s (c − c skipped)", GREEN), "", "Within a window of steps only", "(default: after the first, until a", "fifth of the run), where structure", "is decided. One more pass then."], 25)
    f.save("guidance/images/slg.svg")


def autoguidance():
    f = Figure(760, 290, "AutoGuidance: from a worse version of the model through the model itself")
    stack(f, 60, "the model: good", BLUE, (), "c good")
    stack(f, 250, "a worse one: bad", RED, (3, 4), "c bad")
    f.lines(440, 95, [("result = bad + w (good − bad)", GREEN), "as a term: + (w − 1) (c − c bad)", "", "The worse model is this one with", "blocks left out. In every step,", "for one more pass."], 25)
    f.save("guidance/images/autoguidance.svg")


def freeu():
    f = Figure(760, 310, "FreeU: amplify the backbone, damp the low frequencies of skip connections")
    sizes = [120, 92, 64]
    for i, h in enumerate(sizes):
        f.box(40 + i * 52, 150 - h / 2, 36, h, "", "#e8f0f8")
        f.box(380 - i * 52, 150 - h / 2, 36, h, "", "#e8f0f8")
    f.box(204, 128, 46, 44, "mid", "#dfe9f3", size=12)
    for i, h in enumerate(sizes):
        y = 150 - h / 2 - 10 - (2 - i) * 4
        color = AMBER if i > 0 else LIGHT
        f.path([(58 + i * 52, 150 - h / 2), (58 + i * 52, y), (398 - i * 52, y), (398 - i * 52, 150 - h / 2)], color, 2)
    f.text(228, 68, "skip: low frequencies × s", AMBER, 13, "middle", "bold")
    f.line(250, 150, 274, 150, GREEN, 2.4, head=True)
    f.line(312, 150, 326, 150, GREEN, 2.4, head=True)
    f.text(228, 240, "backbone: first half of the channels × b", GREEN, 13, "middle", "bold")
    f.text(58, 265, "down blocks", GREY, 12, "middle")
    f.text(398, 265, "up blocks", GREY, 12, "middle")
    f.lines(470, 95, ["In up_blocks.0 and up_blocks.1,", "before features are concatenated.", "", "No further pass: next to no cost.", "UNets only."], 25)
    f.save("guidance/images/freeu.svg")


def seams():
    f = Figure(900, 330, "Where text meets latents in a UNet or cross-attention DiT, and in an MMDiT")
    f.text(210, 32, "UNet, DiT: self- and cross-attention", "#222", 14, "middle", "bold")
    f.text(680, 32, "MMDiT: joint attention", "#222", 14, "middle", "bold")
    for i in range(6):
        f.rect(40 + i * 26, 60, 22, 30, "#e8f0f8")
    f.text(200, 80, "latents", GREY, 12)
    f.box(60, 135, 116, 34, "self-attention", "#eef1f5")
    f.box(60, 205, 116, 34, "cross-attention", "#dcefe2")
    f.line(118, 92, 118, 135, GREY, 1.5, head=True)
    f.line(118, 169, 118, 205, GREY, 1.5, head=True)
    f.line(118, 239, 118, 275, GREY, 1.5, head=True)
    for i in range(4):
        f.rect(250 + i * 26, 195, 22, 24, BLUE, opacity=.75)
        f.rect(250 + i * 26, 226, 22, 24, RED, opacity=.75)
    f.text(300, 188, "prompt: keys, values", BLUE, 12, "middle")
    f.text(300, 268, "negative: keys, values", RED, 12, "middle")
    f.line(248, 207, 178, 217, BLUE, 1.6, head=True)
    f.line(248, 238, 178, 230, RED, 1.6, "5 4", head=True)
    f.text(210, 305, "Z⁺ and Z⁻ : the same queries over two texts", "#333", 13, "middle")
    x = 484
    for i in range(3):
        f.rect(x + i * 24, 60, 20, 30, RED, opacity=.75)
        f.rect(x + 84 + i * 24, 60, 20, 30, BLUE, opacity=.75)
    for i in range(7):
        f.rect(x + 168 + i * 24, 60, 20, 30, "#c9dcef")
    f.text(x + 34, 110, "negative", RED, 12, "middle")
    f.text(x + 118, 110, "prompt", BLUE, 12, "middle")
    f.text(x + 250, 110, "latents", GREY, 12, "middle")
    f.text(680, 132, "one packed sequence; who sees what:", "#333", 12, "middle")
    rows = [("negative text", RED, (1, 0, 1)), ("prompt's text", BLUE, (0, 1, 1)), ("latents: Z⁺", GREY, (0, 1, 1)), ("latents: Z⁻", GREY, (1, 0, 1))]
    for r, (name, color, seen) in enumerate(rows):
        y = 148 + r * 34
        f.text(x + 60, y + 18, name, color, 12, "end")
        for c, (w, fill) in enumerate(((72, RED), (72, BLUE), (168, "#8fb4d9"))):
            f.rect(x + 72 + (0, 78, 156)[c], y, w - 2, 26, fill if seen[c] else "#f1f1f1", opacity=.75 if seen[c] else 1)
    f.text(680, 305, "the part over the latents is computed once and serves both", "#333", 13, "middle")
    f.save("images/seams.svg")


def merging():
    f = Figure(900, 250, "Partial attention: three products, merged by their log-sum-exps into Z+ and Z-")
    for y, name, color, fill in ((40, "over the latents:  O₁, l₁", "#2c5d8f", "#c9dcef"), (105, "over the prompt's text:  O₂, l₂", BLUE, "#bcd6ee"), (170, "over the negative text:  O₃, l₃", RED, "#f3c6c0")):
        f.box(40, y, 270, 40, name, fill, color, size=13)
    f.box(470, 62, 150, 44, "merge", "#eef1f5", "#333")
    f.box(470, 150, 150, 44, "merge", "#eef1f5", "#333")
    f.line(310, 60, 468, 80, GREY, 1.6, head=True)
    f.line(310, 125, 468, 92, GREY, 1.6, head=True)
    f.line(310, 60, 468, 165, GREY, 1.6, head=True)
    f.line(310, 190, 468, 178, GREY, 1.6, head=True)
    f.line(620, 84, 680, 84, BLUE, 2, head=True)
    f.line(620, 172, 680, 172, RED, 2, head=True)
    f.text(690, 90, "Z⁺", BLUE, 18, weight="bold")
    f.text(690, 178, "Z⁻", RED, 18, weight="bold")
    f.lines(735, 118, ["O = (e^l₁ O₁ + e^l₂ O₂)", "      / (e^l₁ + e^l₂)"], 22, 12)
    f.save("images/merging.svg")


def costs():
    f = Figure(900, 260, "What a step of a joint-attention model costs, relative to the plain model")
    rows = [("plain", 1.0, GREY), ("NAG here, 4096 latents and 256 text tokens", 1.069, GREEN), ("NAG here, 512 text tokens", 1.13, GREEN), ("NAG as published, measured on an A100 (FLUX)", 1.87, AMBER), ("CFG: a second pass", 2.0, RED)]
    for i, (name, value, color) in enumerate(rows):
        y = 34 + i * 40
        f.text(360, y + 18, name, "#333", 13, "end")
        f.rect(375, y, value * 210, 26, color, radius=3, opacity=.8)
        f.text(375 + value * 210 + 8, y + 18, f"{value:.2f} ×", color, 13, weight="bold")
    f.text(375, 250, "bars of NAG here: arithmetic from the shapes; attune bench measures them", GREY, 11)
    f.save("images/costs.svg")


def few_steps():
    f = Figure(900, 280, "Why CFG fails in few-step models")
    for x, title in ((40, "many steps: small corrections"), (480, "one step: one large jump")):
        f.text(x + 180, 34, title, "#222", 14, "middle", "bold")
    f.path([(60 + i * 3.3, 215 - 150 * (i / 100) ** .8 - 8 * math.sin(i / 11)) for i in range(101)], LIGHT, 10)
    points = [(60 + i * 33, 215 - 150 * (i / 10) ** .8 - 8 * math.sin(i / 1.1)) for i in range(11)]
    for (a, b), (c, d) in zip(points, points[1:]):
        f.line(a, b, c, d, GREEN, 1.8, head=True)
    f.text(212, 246, "predictions c and u differ little; amplified, the path", GREY, 12, "middle")
    f.text(212, 264, "stays where the model was trained", GREY, 12, "middle")
    p = Plane(f, 520, 215, 1)
    p.arrow((0, 0), (230, 150), BLUE, "c", 6, 0)
    p.arrow((0, 0), (170, 60), RED, "u", 6, 12)
    p.arrow((0, 0), (318, 178), "#7a7a7a", "", dash="5 4")
    f.text(846, 36, "u + w (c − u)", GREY, 13, "middle")
    f.circle(750, 65, 24, GREEN, "none", "4 3")
    f.text(790, 92, "images", GREEN, 12)
    f.text(665, 246, "u is no image of its own in a distilled model; the jump", GREY, 12, "middle")
    f.text(665, 264, "leaves the images, and nothing corrects it", GREY, 12, "middle")
    f.save("images/few-steps.svg")


def anderson():
    f = Figure(900, 280, "Plain fixed-point iteration and extrapolation beyond the last iterate")
    chart(f, 60, 225, 330, 165, "iteration", "distance to the fixed point (log)")
    rho = .8
    f.path([(60 + i * 28, 60 - 38 * i * math.log(rho)) for i in range(12)], BLUE, 2.2)
    g = .3
    x = [1.0, rho]
    for _ in range(10):
        x.append(abs((1 + g) * rho * x[-1] - g * rho * x[-2]) + 1e-9)
    f.path([(60 + i * 28, 60 - 38 * math.log(v)) for i, v in enumerate(x)], GREEN, 2.2)
    f.text(300, 122, "T(x)", BLUE, 13)
    f.text(100, 192, "T(x) + γ (T(x) − T(x′))", GREEN, 13)
    f.lines(470, 80, [("x ← T(x): each step shrinks the error by ρ (here 0.8)", BLUE), ("x ← T(x) + γ (T(x) − T(x′)) with γ = 0.3", GREEN), "", "On one linear mode the error obeys  r² − (1 + γ) ρ r + γ ρ = 0;", "it is stable while γ ρ < 1, and faster over a range of γ.", "GAG takes one such step, with T(x) := s and T(x′) := d,", "along s alone and with a bounded length."], 25)
    f.save("images/anderson.svg")


if __name__ == "__main__":
    for draw in (nag, nasa, gag, pladis, vsf, cfg, cfg_zero_star, apg, tcfg, mambo, perp_neg, rescale, norm_keeping, thresholding, pag, seg, slg, autoguidance, freeu, seams, merging, costs, few_steps, anderson):
        draw()
