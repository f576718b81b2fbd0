import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Check } from "./fields";
import { type Beginning, form, modelOf } from "./state";

/** The longer side of a mask, in pixels: latents are an eighth of the picture, finer is not seen. */
const mostPixels = 1024;

/** The picture that the next one begins with, and the part of it that is made anew. */
export function BeginCard({ picture }: { picture: Beginning }): JSX.Element {
    const takesMask = modelOf(form.value.model)?.attune.takes.includes("mask") ?? false;
    return (
        <fieldset class="card begin">
            <legend>Begins with {picture.name}</legend>
            {takesMask ? <Painter picture={picture} /> : <img src={picture.data} alt={picture.name} />}
            <button type="button" class="small" onClick={() => form.change({ picture: null })}>
                Without {picture.name}
            </button>
        </fieldset>
    );
}

/** Paints the part that is made anew over a picture, with a pointer or by keys. */
function Painter({ picture }: { picture: Beginning }): JSX.Element {
    const canvas = useRef<HTMLCanvasElement>(null);
    const [size, setSize] = useState<[number, number] | null>(null);
    const [brush, setBrush] = useState(12);
    const [erases, setErases] = useState(false);
    const [at, setAt] = useState<[number, number]>([0.5, 0.5]);
    const [hasFocus, setHasFocus] = useState(false);
    const last = useRef<[number, number] | null>(null);
    useEffect(() => {
        if (canvas.current) wipe(canvas.current);
    }, [picture.data]);

    /** A stroke to a place, both as parts of the picture's sides. */
    const paint = (to: [number, number]): void => {
        const target = canvas.current;
        if (!target) return;
        const context = contextOf(target);
        const [x, y] = last.current ?? to;
        context.globalCompositeOperation = erases ? "destination-out" : "source-over";
        context.strokeStyle = "#e8408c";
        context.lineCap = "round";
        context.lineWidth = (brush / 100) * Math.max(target.width, target.height);
        context.beginPath();
        context.moveTo(x * target.width, y * target.height);
        context.lineTo(to[0] * target.width + 0.01, to[1] * target.height);
        context.stroke();
        last.current = to;
    };
    const finish = (): void => {
        last.current = null;
        if (canvas.current) form.change({ picture: { ...picture, mask: maskOf(canvas.current) } });
    };
    const placeOf = (event: PointerEvent): [number, number] => {
        const box = canvas.current!.getBoundingClientRect();
        return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    const press = (event: KeyboardEvent): void => {
        const by = brush / 200;
        const moves: Record<string, [number, number]> = {
            ArrowLeft: [-by, 0],
            ArrowRight: [by, 0],
            ArrowUp: [0, -by],
            ArrowDown: [0, by],
        };
        const move = moves[event.key];
        if (move) setAt([Math.min(Math.max(at[0] + move[0], 0), 1), Math.min(Math.max(at[1] + move[1], 0), 1)]);
        else if (event.key === " ") {
            paint(at);
            finish();
        } else return;
        event.preventDefault();
        event.stopPropagation();
    };
    return (
        <>
            <div class="paint" style={size ? { aspectRatio: `${size[0]} / ${size[1]}` } : undefined}>
                <img
                    src={picture.data}
                    alt={picture.name}
                    onLoad={(event) => {
                        const { naturalWidth, naturalHeight } = event.currentTarget;
                        const scale = Math.min(1, mostPixels / Math.max(naturalWidth, naturalHeight));
                        setSize([Math.round(naturalWidth * scale), Math.round(naturalHeight * scale)]);
                    }}
                />
                {size && (
                    <canvas
                        ref={canvas}
                        width={size[0]}
                        height={size[1]}
                        tabIndex={0}
                        role="application"
                        aria-label="The part that is made anew. Arrow keys move the brush, Space paints."
                        onFocus={() => setHasFocus(true)}
                        onBlur={() => setHasFocus(false)}
                        onKeyDown={press}
                        onPointerDown={(event) => {
                            event.currentTarget.setPointerCapture(event.pointerId);
                            paint(placeOf(event));
                        }}
                        onPointerMove={(event) => {
                            if (last.current) paint(placeOf(event));
                        }}
                        onPointerUp={finish}
                        onPointerCancel={finish}
                    />
                )}
                {hasFocus && size && (
                    <span
                        class="brush"
                        aria-hidden="true"
                        style={{
                            left: `${at[0] * 100}%`,
                            top: `${at[1] * 100}%`,
                            width: `${brush * Math.max(1, size[1] / size[0])}%`,
                        }}
                    />
                )}
            </div>
            <p class="hint">
                {picture.mask === null
                    ? "Paint over a part to make that part alone anew."
                    : "What is painted is made anew, the rest is kept."}
            </p>
            <div class="fields">
                <label>
                    <span class="name">Brush</span>
                    <input
                        type="range"
                        min={3}
                        max={40}
                        value={brush}
                        aria-valuetext={`${brush} % of the picture`}
                        onInput={(event) => setBrush(event.currentTarget.valueAsNumber)}
                    />
                </label>
                <Check text="Wipe off" checked={erases} set={setErases} />
                {picture.mask !== null && (
                    <button
                        type="button"
                        class="small"
                        onClick={() => {
                            if (canvas.current) wipe(canvas.current);
                            finish();
                        }}
                    >
                        Nothing painted
                    </button>
                )}
            </div>
        </>
    );
}

/** What is painted is read after each stroke: it stays in ordinary memory. */
function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
    return canvas.getContext("2d", { willReadFrequently: true })!;
}

function wipe(canvas: HTMLCanvasElement): void {
    contextOf(canvas).clearRect(0, 0, canvas.width, canvas.height);
}

/** A mask as the API takes it, transparent where the picture is made anew; null where nothing is painted. */
function maskOf(painted: HTMLCanvasElement): string | null {
    const { width, height } = painted;
    const bytes = contextOf(painted).getImageData(0, 0, width, height).data;
    if (!bytes.some((byte, at) => at % 4 === 3 && byte > 127)) return null;
    const mask = document.createElement("canvas");
    [mask.width, mask.height] = [width, height];
    const context = mask.getContext("2d")!;
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "destination-out";
    context.drawImage(painted, 0, 0);
    return mask.toDataURL("image/png");
}
