import type { JSX } from "preact";
import { BeginCard } from "./begin";
import { Check, Whole } from "./fields";
import { Choice, Guidance } from "./guidance";
import { Icon } from "./icons";
import { formatRules, isNumber, parseRules, sliderOf, tidy } from "./rules";
import {
    beginWith,
    check,
    examplesOf,
    facts,
    failure,
    form,
    modelOf,
    optionsOf,
    plainOf,
    randomSeed,
    submit,
    submitting,
    takesPicture,
    valuesOf,
} from "./state";
import type { Form, Mode } from "./state";
import { useStore } from "./store";

/** Everything that is asked for. */
export function Composer(): JSX.Element {
    const asked = useStore(form);
    const model = modelOf(asked.model);
    const { answer, error } = useStore(check);
    const refused = useStore(failure);
    const negativeHelp = answer && answer.reads_negative === false && asked.negative.trim() !== "";
    return (
        <form
            class="composer"
            aria-label="What to make"
            onSubmit={(event) => {
                event.preventDefault();
                void submit();
            }}
        >
            <div class="card words">
                <label>
                    <span class="name">Prompt</span>
                    <textarea
                        id="prompt"
                        rows={2}
                        value={asked.prompt}
                        placeholder="What the picture shows"
                        required
                        aria-invalid={(refused ?? error)?.param === "prompt"}
                        onInput={(event) => form.change({ prompt: event.currentTarget.value })}
                    />
                </label>
                <label class="negative">
                    <span class="name">Not in the picture</span>
                    <textarea
                        id="negative"
                        rows={1}
                        value={asked.negative}
                        placeholder="The negative prompt"
                        aria-describedby="negative-help"
                        onInput={(event) => form.change({ negative: event.currentTarget.value })}
                    />
                </label>
                <p id="negative-help" class={negativeHelp ? "warning" : "hint"} role="status">
                    {negativeHelp
                        ? "Nobody reads the negative prompt: the guidance has no rule that does. Choose Automatic, or add nag."
                        : asked.negative.trim() === ""
                          ? "Works in few steps too: guidance in attention reads it."
                          : ""}
                </p>
                <p class="examples">
                    <span class="hint">Try</span>
                    {examplesOf(model).map(([prompt, negative, seed]) => (
                        <button
                            type="button"
                            key={prompt}
                            class="chip"
                            onClick={() => form.change({ prompt, negative, seed: String(seed) })}
                        >
                            {prompt} <span class="not">not {negative}</span>
                        </button>
                    ))}
                </p>
            </div>
            <Making asked={asked} />
            {asked.picture && takesPicture(model) && <BeginCard picture={asked.picture} />}
            <Guidance />
            <PictureCard asked={asked} />
            <More asked={asked} />
            <div class="go">
                <Warnings />
                <button type="submit" class="primary" disabled={useStore(submitting)} aria-keyshortcuts="Control+Enter">
                    {goText(asked)} <kbd aria-hidden="true">Ctrl ⏎</kbd>
                </button>
            </div>
        </form>
    );
}

function goText(asked: Form): string {
    const count = asked.mode === "grid" ? valuesOf(asked.grid).length * asked.count : asked.count;
    return {
        picture: "Make the picture",
        compare: "Make both pictures",
        seeds: `Make ${count} pictures`,
        grid: `Make ${count} pictures`,
    }[asked.mode];
}

/** What the server would say, before and after it is asked. */
function Warnings(): JSX.Element {
    const { answer, error } = useStore(check);
    const refused = useStore(failure) ?? error;
    const seconds = answer?.seconds ?? 0;
    const shown = (answer?.warnings ?? []).filter((text) => !text.startsWith("No guidance rule reads"));
    return (
        <div class="warnings">
            <div role="alert">{refused && <p class="error">{refused.message}</p>}</div>
            <div role="status">
                {shown.map((text) => (
                    <p key={text} class="warning">
                        {text}
                    </p>
                ))}
                {!refused && answer && answer.size && (
                    <p class="hint">
                        {answer.size.replace("x", " × ")}, {answer.steps} steps
                        {seconds >= 5 ? `, about ${Math.round(seconds)} s` : ""}
                    </p>
                )}
            </div>
        </div>
    );
}

function Making({ asked }: { asked: Form }): JSX.Element {
    const choose = (mode: Mode): void => {
        const grid =
            mode === "grid" && asked.grid.parameter === "" ? gridOf(parameters(asked)[0]?.key ?? "steps", asked) : asked.grid;
        form.change({ mode, grid, count: mode === "grid" ? Math.min(asked.count, 2) : asked.count });
    };
    const plain = plainOf(asked);
    const { answer } = useStore(check);
    const acting = parseRules(answer?.guidance ?? "");
    const isSame = answer?.guidance !== undefined && formatRules(acting.map(({ name }) => ({ name, values: {} }))) === plain;
    return (
        <fieldset class="card">
            <legend>Make</legend>
            <div class="segments four" role="group" aria-label="What to make">
                <Choice<Mode> name="mode" value="compare" chosen={asked.mode} choose={choose} text="Compare" />
                <Choice<Mode> name="mode" value="picture" chosen={asked.mode} choose={choose} text="Picture" />
                <Choice<Mode> name="mode" value="seeds" chosen={asked.mode} choose={choose} text="Seeds" />
                <Choice<Mode> name="mode" value="grid" chosen={asked.mode} choose={choose} text="Grid" />
            </div>
            {asked.mode === "compare" && (
                <p class={isSame ? "warning" : "hint"}>
                    {isSame
                        ? "Both pictures would be the same: say what must not be in the picture, or add a rule."
                        : `The same seed twice: ${plain === "none" ? "without guidance" : `with ${plain} alone`}, and as you ask.`}
                </p>
            )}
            {asked.mode === "seeds" && (
                <Whole text="Pictures" least={1} most={10} value={asked.count} set={setCount} about="Seeds that follow one another." />
            )}
            {asked.mode === "grid" && <GridFields asked={asked} />}
        </fieldset>
    );
}

const setCount = (count: number): void => form.change({ count });

/** What a grid may go over: numbers of the rules that act, steps, and numbers that the model takes. */
function parameters(asked: Form): { key: string; text: string }[] {
    const acting = asked.guidance === "own" ? asked.rules : parseRules(check.value.answer?.guidance ?? "none");
    const rules = facts.value?.rules ?? [];
    return [
        ...acting.flatMap((chosen) =>
            (rules.find((rule) => rule.name === chosen.name)?.parameters ?? [])
                .filter(isNumber)
                .map((parameter) => ({ key: `${chosen.name}.${parameter.name}`, text: `${chosen.name}: ${parameter.name}` })),
        ),
        { key: "steps", text: "steps" },
        ...(modelOf(asked.model)?.attune.takes.includes("guidance_scale")
            ? [{ key: "guidance_scale", text: "embedded guidance" }]
            : []),
    ];
}

/** A grid over a parameter, with values that show something. */
function gridOf(key: string, asked: Form): Form["grid"] {
    const model = modelOf(asked.model);
    const [name, parameter] = key.split(".");
    const rule = facts.value?.rules.find((known) => known.name === name);
    const known = rule?.parameters.find((other) => other.name === parameter);
    if (!rule || !known) {
        const steps = model?.attune.default_steps ?? 4;
        return { parameter: key, from: "1", to: key === "steps" ? String(steps * 2) : "7", count: 4 };
    }
    const { min, max } = sliderOf(rule, known, facts.value?.families ?? []);
    const acting = asked.guidance === "own" ? asked.rules : parseRules(check.value.answer?.guidance ?? "none");
    const now = Number(acting.find((chosen) => chosen.name === name)?.values[known.name] ?? known.default);
    const most = known.maximum === undefined && now > 0 ? Math.min(now * 2, max) : max;
    return { parameter: key, from: tidy(min), to: tidy(most), count: known.kind === "integer" ? Math.min(max - min + 1, 4) : 4 };
}

function GridFields({ asked }: { asked: Form }): JSX.Element {
    useStore(check);
    const { grid } = asked;
    const known = parameters(asked);
    // What is there now, not what was drawn: two changes may come before the page is drawn again.
    const set = (changes: Partial<Form["grid"]>): void => form.change({ grid: { ...form.value.grid, ...changes } });
    const field = (name: "from" | "to", text: string): JSX.Element => (
        <label>
            <span class="name">{text}</span>
            <input
                type="text"
                inputmode="decimal"
                class="number"
                value={grid[name]}
                onChange={(event) => set({ [name]: event.currentTarget.value })}
            />
        </label>
    );
    return (
        <>
            <label>
                <span class="name">Over</span>
                <select
                    value={grid.parameter}
                    onChange={(event) => form.change({ grid: gridOf(event.currentTarget.value, asked) })}
                >
                    {known.every((other) => other.key !== grid.parameter) && (
                        <option value={grid.parameter}>{grid.parameter} (does not act now)</option>
                    )}
                    {known.map((parameter) => (
                        <option key={parameter.key} value={parameter.key}>
                            {parameter.text}
                        </option>
                    ))}
                </select>
            </label>
            <div class="fields">
                {field("from", "From")}
                {field("to", "To")}
                <Whole text="Values" least={2} most={8} value={grid.count} set={(count) => set({ count })} />
                <Whole text="Seeds" least={1} most={6} value={asked.count} set={setCount} />
            </div>
            <p class="hint">{valuesOf(grid).join(", ")}</p>
        </>
    );
}

/** Sizes of the model's number of pixels. */
function sizesOf(model: ReturnType<typeof modelOf>): string[] {
    const [width = 512, height = 512] = (model?.attune.default_size ?? "").split("x").map(Number);
    const multiple = model?.attune.size_multiple ?? 16;
    const area = width * height;
    const snap = (value: number): number => Math.max(Math.round(value / multiple), 1) * multiple;
    return [
        [1, 1],
        [4, 3],
        [3, 4],
        [3, 2],
        [2, 3],
        [16, 9],
        [9, 16],
    ]
        .map(([w, h]) => `${snap(Math.sqrt((area * w!) / h!))}x${snap(Math.sqrt((area * h!) / w!))}`)
        .filter((size, i, all) => all.indexOf(size) === i);
}

function PictureCard({ asked }: { asked: Form }): JSX.Element {
    const model = modelOf(asked.model);
    const plain = model?.attune.default_size ?? "";
    const sizes = [...new Set([plain, ...sizesOf(model), ...(asked.size !== "" ? [asked.size] : [])])];
    return (
        <fieldset class="card">
            <legend>Picture</legend>
            <div class="fields">
                <label>
                    <span class="name">Size</span>
                    <select
                        value={asked.size === "" ? plain : asked.size}
                        onChange={(event) =>
                            form.change({ size: event.currentTarget.value === plain ? "" : event.currentTarget.value })
                        }
                    >
                        {sizes.map((size) => (
                            <option key={size} value={size}>
                                {size.replace("x", " × ")}
                                {size === plain ? " (the model's)" : ""}
                            </option>
                        ))}
                    </select>
                </label>
                <label>
                    <span class="name">Steps</span>
                    <input
                        type="number"
                        class="number"
                        min={1}
                        max={model?.attune.max_steps}
                        value={asked.steps}
                        placeholder={String(model?.attune.default_steps ?? "")}
                        onInput={(event) => form.change({ steps: event.currentTarget.value })}
                    />
                </label>
            </div>
            <div class="seed">
                <label>
                    <span class="name">Seed</span>
                    <input
                        type="text"
                        inputmode="numeric"
                        pattern="[0-9]*"
                        value={asked.seed}
                        placeholder="by chance"
                        onInput={(event) => form.change({ seed: event.currentTarget.value.replace(/\D/g, "").slice(0, 18) })}
                    />
                </label>
                <button
                    type="button"
                    class="plain"
                    title="Another seed"
                    aria-label="Another seed"
                    onClick={() => form.change({ seed: randomSeed() })}
                >
                    <Icon name="dice" />
                </button>
                <Check text="another one each time" checked={asked.newSeed} set={(newSeed) => form.change({ newSeed })} />
            </div>
        </fieldset>
    );
}

function More({ asked }: { asked: Form }): JSX.Element {
    const model = modelOf(asked.model);
    const known = facts.value!;
    return (
        <details class="card more">
            <summary>More</summary>
            {known.models.length > 1 && (
                <label>
                    <span class="name">Model</span>
                    <select
                        value={model?.id}
                        onChange={(event) => form.change({ model: event.currentTarget.value, size: "", steps: "" })}
                    >
                        {known.models.map((other) => (
                            <option key={other.id} value={other.id}>
                                {other.id}
                            </option>
                        ))}
                    </select>
                </label>
            )}
            {takesPicture(model) && (
                <label>
                    <span class="name">Begin with a picture</span>
                    <input
                        type="file"
                        accept="image/*"
                        onChange={(event) => {
                            const file = event.currentTarget.files?.[0];
                            if (file) void beginWith(file, file.name);
                        }}
                    />
                </label>
            )}
            <Check text="Record what guidance does" checked={asked.trace} set={(trace) => form.change({ trace })} />
            <p class="hint">
                Measures every attention layer in every step; the picture stays the same. Takes some time with large models.
            </p>
            <label>
                <span class="name">Scheduler</span>
                <input
                    type="text"
                    class="mono"
                    value={asked.scheduler}
                    placeholder={model?.attune.scheduler}
                    spellcheck={false}
                    onChange={(event) => form.change({ scheduler: event.currentTarget.value.trim() })}
                />
                <span class="hint">euler, heun, lcm, dpmpp_2m karras, …</span>
            </label>
            {optionsOf(model).map((option) => (
                <label key={option.key} class={option.kind === "flag" ? "check" : ""}>
                    {option.kind === "flag" ? (
                        <input
                            type="checkbox"
                            checked={asked.more[option.key] === "true"}
                            onChange={(event) =>
                                form.change({ more: { ...form.value.more, [option.key]: event.currentTarget.checked ? "true" : "" } })
                            }
                        />
                    ) : (
                        <span class="name">{option.key.replaceAll("_", " ")}</span>
                    )}
                    {option.kind === "flag" ? (
                        <span>{option.key.replaceAll("_", " ")}</span>
                    ) : (
                        <input
                            type="text"
                            value={asked.more[option.key] ?? ""}
                            placeholder={option.range ?? ""}
                            onChange={(event) =>
                                form.change({ more: { ...form.value.more, [option.key]: event.currentTarget.value.trim() } })
                            }
                        />
                    )}
                    <span class="hint">{option.description}</span>
                </label>
            ))}
        </details>
    );
}
