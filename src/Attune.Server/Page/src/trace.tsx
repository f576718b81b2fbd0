import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "./api";
import type { Picture } from "./api";
import { messageOf } from "./state";

/** What attune trace writes, as far as it is drawn. */
interface TraceDocument {
    rules: { name: string; text: string }[];
    steps: { index: number; sigma: number | null }[];
    layers: { path: string; kind: string }[];
    quantities: { name: string; title: string; definition: string; unit: "number" | "share" }[];
    series: { quantity: string; rule: number | null; says: string; values: Value[] }[];
    places: { frames: number; rows: number; columns: number; by_row: (number[] | null)[]; by_column: (number[] | null)[] }[];
}

interface Value {
    step: number;
    layer: number | null;
    mean: number;
    p10: number;
    p90: number;
    min: number;
    max: number;
}

type Quantity = TraceDocument["quantities"][number];

const groups: { title: string; test: RegExp; open: boolean }[] = [
    { title: "Attention", test: /^attention\./, open: true },
    { title: "Predictions", test: /^prediction\./, open: true },
    { title: "Retrieval: attention as a Hopfield network", test: /^(hopfield|entmax|anderson)\./, open: false },
];

/** Where and when guidance acted: every layer, every step. */
export function Trace({ url, picture }: { url: string; picture: Picture }): JSX.Element {
    const [trace, setTrace] = useState<TraceDocument | null>(null);
    const [error, setError] = useState("");
    useEffect(() => {
        get<TraceDocument>(url).then(setTrace, (reason) => setError(messageOf(reason)));
    }, [url]);
    if (error)
        return (
            <p class="error" role="alert">
                {error}
            </p>
        );
    if (!trace) return <p class="hint">Reading the trace…</p>;
    const own = trace.series.filter((series) => series.rule !== null);
    return (
        <section class="trace" aria-label="Trace">
            {trace.places.slice(0, 1).map((places) => (
                <Places key="places" places={places} picture={picture} />
            ))}
            {own.map((series, i) => (
                <Panel key={i} trace={trace} series={series} />
            ))}
            {groups.map(({ title, test, open }) => {
                const members = trace.series.filter((series) => series.rule === null && test.test(series.quantity));
                return (
                    members.length > 0 && (
                        <details key={title} open={open}>
                            <summary>{title}</summary>
                            <div>
                                {members.map((series) => (
                                    <Panel key={series.quantity} trace={trace} series={series} />
                                ))}
                            </div>
                        </details>
                    )
                );
            })}
        </section>
    );
}

function write(value: number, quantity: Quantity): string {
    const shown = quantity.unit === "share" ? value * 100 : value;
    const text =
        Math.abs(shown) >= 1000 || (shown !== 0 && Math.abs(shown) < 0.001)
            ? shown.toExponential(1)
            : String(Number(shown.toPrecision(3)));
    return quantity.unit === "share" ? `${text} %` : text;
}

/** From dark blue over green to yellow; around zero from blue over grey to orange. */
const sequential = [
    [43, 30, 102],
    [47, 92, 148],
    [31, 142, 140],
    [93, 187, 99],
    [242, 227, 76],
];
const diverging = [
    [29, 78, 158],
    [111, 163, 216],
    [213, 216, 220],
    [231, 154, 85],
    [176, 74, 18],
];

function colorOf(value: number, low: number, high: number): { color: string; isLight: boolean } {
    const both = low < 0 && high > 0;
    const reach = Math.max(-low, high);
    const [from, to] = both ? [-reach, reach] : [low, high];
    const part = to > from ? Math.min(Math.max((value - from) / (to - from), 0), 1) : 0.5;
    const stops = both ? diverging : sequential;
    const at = part * (stops.length - 1);
    const first = Math.min(Math.floor(at), stops.length - 2);
    const mixed = stops[first]!.map((channel, i) => Math.round(channel + (stops[first + 1]![i]! - channel) * (at - first)));
    // Black or white, whichever stands out more: at least 4.5 to 1 on any colour.
    const [red, green, blue] = mixed.map((channel) => {
        const part = channel / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    const luminance = 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
    return { color: `rgb(${mixed.join(" ")})`, isLight: luminance > 0.179 };
}

/** Names that fit beside a map: double.3, single.7, down.1.0.0. */
function shortNames(paths: string[]): string[] {
    const two = paths.some((path) => path.startsWith("single_transformer_blocks."));
    const short = paths.map((path) =>
        path
            .replace(/\.attn[12]?$/, "")
            .replace(/^single_transformer_blocks\./, "single.")
            .replace(/^transformer_blocks\./, two ? "double." : "block.")
            .replace(/^(down|up)_blocks\./, "$1.")
            .replace(/^mid_block\./, "mid.")
            .replaceAll("attentions.", "")
            .replaceAll("transformer_blocks.", ""),
    );
    return new Set(short).size === short.length ? short : paths;
}

const mostCells = 500;

function Panel({ trace, series }: { trace: TraceDocument; series: TraceDocument["series"][number] }): JSX.Element {
    const quantity = trace.quantities.find((known) => known.name === series.quantity)!;
    const layers = [...new Set(series.values.map((value) => value.layer))]
        .filter((layer): layer is number => layer !== null)
        .sort((a, b) => a - b);
    return (
        <article class="panel">
            <h4>
                {quantity.title}
                {series.rule !== null && <code>{trace.rules[series.rule]?.name}</code>}
            </h4>
            <p>{series.says}</p>
            {layers.length === 0 ? (
                <Bars trace={trace} series={series} quantity={quantity} />
            ) : layers.length * trace.steps.length <= mostCells ? (
                <SmallMap trace={trace} series={series} quantity={quantity} layers={layers} />
            ) : (
                <LargeMap trace={trace} series={series} quantity={quantity} layers={layers} />
            )}
            <p class="hint">{quantity.definition}</p>
        </article>
    );
}

interface MapProps {
    trace: TraceDocument;
    series: TraceDocument["series"][number];
    quantity: Quantity;
    layers: number[];
}

function SmallMap({ trace, series, quantity, layers }: MapProps): JSX.Element {
    const names = shortNames(layers.map((layer) => trace.layers[layer]!.path));
    const means = series.values.map((value) => value.mean);
    const [low, high] = [Math.min(...means), Math.max(...means)];
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label={`${quantity.title}, by layer and step`}>
            <table class="map">
                <thead>
                    <tr>
                        <th scope="col">layer</th>
                        {trace.steps.map((step) => (
                            <th key={step.index} scope="col">
                                step {step.index + 1}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {layers.map((layer, row) => (
                        <tr key={layer}>
                            <th scope="row" title={trace.layers[layer]!.path}>
                                {names[row]}
                            </th>
                            {trace.steps.map((step) => {
                                const value = series.values.find((other) => other.layer === layer && other.step === step.index);
                                if (!value)
                                    return (
                                        <td key={step.index} class="none">
                                            –
                                        </td>
                                    );
                                const { color, isLight } = colorOf(value.mean, low, high);
                                return (
                                    <td
                                        key={step.index}
                                        class={isLight ? "light" : "dark"}
                                        style={{ background: color }}
                                        title={`middle 80 %: ${write(value.p10, quantity)} to ${write(value.p90, quantity)}`}
                                    >
                                        {write(value.mean, quantity)}
                                    </td>
                                );
                            })}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

/** The same for models of many layers: a drawing, whose numbers are under the pointer. */
function LargeMap({ trace, series, quantity, layers }: MapProps): JSX.Element {
    const canvas = useRef<HTMLCanvasElement>(null);
    const [under, setUnder] = useState("");
    const names = shortNames(layers.map((layer) => trace.layers[layer]!.path));
    const means = series.values.map((value) => value.mean);
    const [low, high] = [Math.min(...means), Math.max(...means)];
    const [width, height] = [trace.steps.length, layers.length];
    useEffect(() => {
        const context = canvas.current?.getContext("2d");
        if (!context) return;
        for (const value of series.values) {
            context.fillStyle = colorOf(value.mean, low, high).color;
            context.fillRect(value.step, layers.indexOf(value.layer!), 1, 1);
        }
    }, [series]);
    const point = (event: MouseEvent): void => {
        const box = canvas.current!.getBoundingClientRect();
        const step = Math.min(Math.floor(((event.clientX - box.left) / box.width) * width), width - 1);
        const row = Math.min(Math.floor(((event.clientY - box.top) / box.height) * height), height - 1);
        const value = series.values.find((other) => other.step === step && other.layer === layers[row]);
        setUnder(value ? `${names[row]}, step ${step + 1}: ${write(value.mean, quantity)}` : "");
    };
    return (
        <figure class="large">
            <canvas
                ref={canvas}
                width={width}
                height={height}
                role="img"
                aria-label={`${quantity.title}, by layer and step. ${series.says}`}
                onMouseMove={point}
                onMouseLeave={() => setUnder("")}
            />
            <figcaption class="hint">
                Layers down, steps to the right; dark is {write(low, quantity)}, light {write(high, quantity)}. {under}
            </figcaption>
        </figure>
    );
}

/** A number for each step. */
function Bars({ trace, series, quantity }: Omit<MapProps, "layers">): JSX.Element {
    const most = Math.max(...series.values.map((value) => Math.abs(value.mean)), 1e-12);
    return (
        <table class="bars">
            <tbody>
                {series.values.map((value) => (
                    <tr key={value.step}>
                        <th scope="row">step {(trace.steps[value.step]?.index ?? 0) + 1}</th>
                        <td>
                            <span class="bar" style={{ width: `${(Math.abs(value.mean) / most) * 100}%` }} />
                            <span>{write(value.mean, quantity)}</span>
                        </td>
                    </tr>
                ))}
            </tbody>
        </table>
    );
}

/** The picture with how far guidance moves its rows and columns, over all steps. */
function Places({ places, picture }: { places: TraceDocument["places"][number]; picture: Picture }): JSX.Element {
    const mean = (steps: (number[] | null)[]): number[] => {
        const told = steps.filter((step): step is number[] => step !== null);
        return (told[0] ?? []).map((_, i) => told.reduce((sum, step) => sum + (step[i] ?? 0), 0) / Math.max(told.length, 1));
    };
    const [rows, columns] = [mean(places.by_row), mean(places.by_column)];
    const most = Math.max(...rows, ...columns, 1e-12);
    const top = rows.indexOf(Math.max(...rows));
    const where = (at: number, count: number, words: [string, string, string]): string =>
        words[Math.min(Math.floor((at / count) * 3), 2)]!;
    const says = `Guidance moves the ${where(top, rows.length, ["upper", "middle", "lower"])} part of the picture most, and its ${where(
        columns.indexOf(Math.max(...columns)),
        columns.length,
        ["left", "middle", "right"],
    )} part.`;
    return (
        <article class="panel places">
            <h4>Where in the picture</h4>
            <p>{says}</p>
            <div class="frame" role="img" aria-label={says}>
                <img src={picture.url} alt="" />
                <div class="rows">
                    {rows.map((value, i) => (
                        <span key={i} style={{ width: `${(value / most) * 100}%` }} />
                    ))}
                </div>
                <div class="columns">
                    {columns.map((value, i) => (
                        <span key={i} style={{ height: `${(value / most) * 100}%` }} />
                    ))}
                </div>
            </div>
            <p class="hint">
                How far guidance moves the attention output, by row and column of the latents, over all steps and layers.
            </p>
        </article>
    );
}
