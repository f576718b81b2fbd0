import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { load, save } from "./store";

interface CompareProps {
    without: ComponentChildren;
    with: ComponentChildren;
    labels: [string, string];
    ratio: number;
    most: string;
}

/** Two pictures of one seed, one over the other with a divider, or beside each other. */
export function Compare({ without, with: guided, labels, ratio, most }: CompareProps): JSX.Element {
    const [beside, setBeside] = useState(load<boolean>("beside") ?? false);
    const [at, setAt] = useState(50);
    const place = (value: boolean): void => {
        setBeside(value);
        save("beside", value);
    };
    return (
        <div class={`comparison ${beside ? "two" : "one"}`} style={{ "--most": most, "--ratio": ratio }}>
            {beside ? (
                <div class="beside">
                    <figure>
                        <div style={{ aspectRatio: String(ratio) }}>{without}</div>
                        <figcaption>{labels[0]}</figcaption>
                    </figure>
                    <figure>
                        <div style={{ aspectRatio: String(ratio) }}>{guided}</div>
                        <figcaption>{labels[1]}</figcaption>
                    </figure>
                </div>
            ) : (
                <div class="over" style={{ "--at": `${at}%`, aspectRatio: String(ratio) }}>
                    <div class="layer">{guided}</div>
                    <div class="layer first">{without}</div>
                    <span class="tag left" aria-hidden="true">
                        {labels[0]}
                    </span>
                    <span class="tag right" aria-hidden="true">
                        {labels[1]}
                    </span>
                    <input
                        type="range"
                        min={0}
                        max={100}
                        step={1}
                        value={at}
                        aria-label={`Divider. Left: ${labels[0]}. Right: ${labels[1]}.`}
                        aria-valuetext={`${at} % ${labels[0]}`}
                        onInput={(event) => setAt(event.currentTarget.valueAsNumber)}
                    />
                    <span class="divider" aria-hidden="true">
                        <span class="knob" />
                    </span>
                </div>
            )}
            <div class="segments two" role="group" aria-label="How to compare">
                <label>
                    <input type="radio" name="beside" checked={!beside} onChange={() => place(false)} />
                    <span>Divider</span>
                </label>
                <label>
                    <input type="radio" name="beside" checked={beside} onChange={() => place(true)} />
                    <span>Side by side</span>
                </label>
            </div>
        </div>
    );
}
