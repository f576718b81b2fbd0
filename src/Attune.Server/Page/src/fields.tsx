import type { JSX } from "preact";

/** Yes or no. */
export function Check(given: { text: string; checked: boolean; set: (checked: boolean) => void }): JSX.Element {
    return (
        <label class="check">
            <input type="checkbox" checked={given.checked} onChange={(event) => given.set(event.currentTarget.checked)} />
            <span>{given.text}</span>
        </label>
    );
}

/** A small whole number: of pictures, seeds or values. */
export function Whole(given: {
    text: string;
    least: number;
    most: number;
    value: number;
    set: (value: number) => void;
    about?: string;
}): JSX.Element {
    const { text, least, most, value, set, about } = given;
    return (
        <label class={about === undefined ? undefined : "line"}>
            <span class="name">{text}</span>
            <input
                type="number"
                class="number"
                min={least}
                max={most}
                value={value}
                onChange={(event) =>
                    set(Math.min(Math.max(Math.round(event.currentTarget.valueAsNumber) || least, least), most))
                }
            />
            {about !== undefined && <span class="hint">{about}</span>}
        </label>
    );
}
