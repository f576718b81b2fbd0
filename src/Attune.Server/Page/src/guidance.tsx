import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Family, Parameter, Rule } from "./api";
import { Icon } from "./icons";
import { formatRules, isNumber, parseRules, published, sliderOf, tidy } from "./rules";
import type { ChosenRule } from "./rules";
import { check, facts, familyOf, form, guidanceOf, modelOf } from "./state";
import type { Form } from "./state";
import { useStore } from "./store";

/** Which rules act, and how strongly. */
export function Guidance(): JSX.Element {
    const asked = useStore(form);
    const known = useStore(facts)!;
    const { answer } = useStore(check);
    const family = familyOf(modelOf(asked.model));
    const own = (): ChosenRule[] => {
        const resolved = parseRules(answer?.guidance ?? "none");
        if (resolved.length > 0) return resolved;
        const first = family?.rules[0]?.name ?? "nag";
        return [published(family, first) ?? defaults(known.rules.find((rule) => rule.name === first))];
    };
    const choose = (guidance: Form["guidance"]): void =>
        form.change(guidance === "own" ? { guidance, rules: asked.guidance === "own" ? asked.rules : own() } : { guidance });
    return (
        <fieldset class="card guidance">
            <legend>Guidance</legend>
            <div class="segments" role="group" aria-label="Which guidance">
                <Choice name="guidance" value="default" chosen={asked.guidance} choose={choose} text="Automatic" />
                <Choice name="guidance" value="none" chosen={asked.guidance} choose={choose} text="None" />
                <Choice name="guidance" value="own" chosen={asked.guidance} choose={choose} text="My own" />
            </div>
            {asked.guidance === "default" && (
                <Resolved text={answer?.guidance} rules={known.rules} adjust={() => choose("own")} />
            )}
            {asked.guidance === "none" && <p class="hint">The plain model. Nothing reads the negative prompt.</p>}
            {asked.guidance === "own" && <Own asked={asked} rules={known.rules} families={known.families} family={family} />}
        </fieldset>
    );
}

/** A radio button that looks like a part of a switch. */
export function Choice<T extends string>({
    name,
    value,
    chosen,
    choose,
    text,
}: {
    name: string;
    value: T;
    chosen: T;
    choose: (value: T) => void;
    text: string;
}): JSX.Element {
    return (
        <label>
            <input type="radio" name={name} value={value} checked={chosen === value} onChange={() => choose(value)} />
            <span>{text}</span>
        </label>
    );
}

function Resolved({ text, rules, adjust }: { text: string | undefined; rules: Rule[]; adjust: () => void }): JSX.Element {
    const chosen = parseRules(text ?? "none");
    if (chosen.length === 0)
        return (
            <p class="hint">
                What is published for this model: none without a negative prompt. Write one, and a rule that reads it turns on.
            </p>
        );
    return (
        <div class="resolved">
            {chosen.map((rule) => {
                const info = rules.find((known) => known.name === rule.name);
                const shown = Object.entries(rule.values).filter(([key]) =>
                    info?.parameters.some((known) => known.name === key && isNumber(known)),
                );
                return (
                    <p key={rule.name}>
                        <strong>{info?.title ?? rule.name}</strong>{" "}
                        {shown.map(([key, value]) => (
                            <code key={key}>
                                {key} {value}
                            </code>
                        ))}
                    </p>
                );
            })}
            <p class="hint">The published values for this model.</p>
            <button type="button" class="small" onClick={adjust}>
                Adjust
            </button>
        </div>
    );
}

function defaults(rule: Rule | undefined): ChosenRule {
    return rule ? (parseRules(rule.text)[0] ?? { name: rule.name, values: {} }) : { name: "nag", values: {} };
}

function Own({
    asked,
    rules,
    families,
    family,
}: {
    asked: Form;
    rules: Rule[];
    families: Family[];
    family: Family | undefined;
}): JSX.Element {
    const set = (changed: ChosenRule[]): void => form.change({ rules: changed });
    const others = rules.filter((rule) => !asked.rules.some((chosen) => chosen.name === rule.name));
    const isPublished = (rule: Rule): boolean => family?.rules.some((entry) => entry.name === rule.name) ?? false;
    const add = (name: string): void => {
        const rule = rules.find((known) => known.name === name);
        if (rule) set([...form.value.rules, published(family, name) ?? defaults(rule)]);
    };
    return (
        <>
            {asked.rules.map((chosen, i) => {
                const rule = rules.find((known) => known.name === chosen.name);
                return (
                    rule && (
                        <RuleCard
                            key={chosen.name}
                            rule={rule}
                            chosen={chosen}
                            families={families}
                            family={family}
                            change={(changed) => set(form.value.rules.map((other, k) => (k === i ? changed : other)))}
                            remove={() => set(form.value.rules.filter((_, k) => k !== i))}
                        />
                    )
                );
            })}
            <label class="add">
                <span class="name">Add a rule</span>
                <select
                    value=""
                    onChange={(event) => {
                        add(event.currentTarget.value);
                        event.currentTarget.value = "";
                    }}
                >
                    <option value="">Choose…</option>
                    {[
                        ["Published for this model", others.filter(isPublished)],
                        ["Others", others.filter((rule) => !isPublished(rule))],
                    ].map(
                        ([title, group]) =>
                            (group as Rule[]).length > 0 && (
                                <optgroup key={title as string} label={title as string}>
                                    {(group as Rule[]).map((rule) => (
                                        <option key={rule.name} value={rule.name}>
                                            {rule.title ?? rule.name}
                                        </option>
                                    ))}
                                </optgroup>
                            ),
                    )}
                </select>
            </label>
            <RuleText asked={asked} set={set} />
        </>
    );
}

function RuleText({ asked, set }: { asked: Form; set: (rules: ChosenRule[]) => void }): JSX.Element {
    const [text, setText] = useState<string | null>(null);
    const { error } = useStore(check);
    return (
        <label>
            <span class="name">As text, as on the command line</span>
            <input
                type="text"
                class="mono"
                spellcheck={false}
                autocomplete="off"
                value={text ?? formatRules(asked.rules)}
                aria-invalid={error?.param === "guidance"}
                onFocus={() => setText(guidanceOf(asked))}
                onInput={(event) => {
                    setText(event.currentTarget.value);
                    set(parseRules(event.currentTarget.value));
                }}
                onBlur={() => setText(null)}
            />
        </label>
    );
}

interface RuleCardProps {
    rule: Rule;
    chosen: ChosenRule;
    families: Family[];
    family: Family | undefined;
    change: (rule: ChosenRule) => void;
    remove: () => void;
}

function RuleCard({ rule, chosen, families, family, change, remove }: RuleCardProps): JSX.Element {
    const set = (name: string, value: string): void => change({ ...chosen, values: { ...chosen.values, [name]: value } });
    const sources = families.filter((known) => known.rules.some((entry) => entry.name === rule.name));
    const plain = published(family, rule.name) ?? defaults(rule);
    const [from, setFrom] = useState("");
    const source =
        families.find((known) => known.family === from)?.rules.find((entry) => entry.name === rule.name) ??
        family?.rules.find((entry) => entry.name === rule.name);
    return (
        <section class="rule" aria-label={rule.title ?? rule.name}>
            <header>
                <h2>{rule.title ?? rule.name}</h2>
                <button type="button" class="plain" aria-label={`Remove ${rule.name}`} title="Remove" onClick={remove}>
                    <Icon name="close" />
                </button>
            </header>
            <p class="hint">{rule.about}</p>
            {rule.more_passes > 0 && (
                <p class="hint">Costs {rule.more_passes === 1 ? "one more pass" : `${rule.more_passes} more passes`} a step.</p>
            )}
            {rule.parameters.filter(isNumber).map((parameter) => (
                <Slider
                    key={parameter.name}
                    rule={rule}
                    parameter={parameter}
                    families={families}
                    value={chosen.values[parameter.name] ?? parameter.default}
                    plain={plain.values[parameter.name] ?? parameter.default}
                    set={(value) => set(parameter.name, value)}
                />
            ))}
            <details>
                <summary>More of {rule.name}</summary>
                {rule.parameters
                    .filter((parameter) => !isNumber(parameter))
                    .map((parameter) => (
                        <label key={parameter.name}>
                            <span class="name">{parameter.name}</span>
                            {parameter.kind === "choice" ? (
                                <select
                                    value={chosen.values[parameter.name] ?? parameter.default}
                                    onChange={(event) => set(parameter.name, event.currentTarget.value)}
                                >
                                    {parameter.choices.map((choice) => (
                                        <option key={choice} value={choice}>
                                            {choice}
                                        </option>
                                    ))}
                                </select>
                            ) : (
                                <input
                                    type="text"
                                    class="mono"
                                    value={chosen.values[parameter.name] ?? ""}
                                    placeholder={parameter.default}
                                    onInput={(event) => set(parameter.name, event.currentTarget.value)}
                                />
                            )}
                            <span class="hint">{parameter.about}</span>
                        </label>
                    ))}
                <label>
                    <span class="name">Values published for</span>
                    <select
                        value={from}
                        onChange={(event) => {
                            setFrom(event.currentTarget.value);
                            const values = published(
                                families.find((known) => known.family === event.currentTarget.value),
                                rule.name,
                            );
                            if (values) change(values);
                        }}
                    >
                        <option value="">{source && from === "" ? `this model` : "Choose a model…"}</option>
                        {sources.map((known) => (
                            <option key={known.family} value={known.family}>
                                {known.title}
                            </option>
                        ))}
                    </select>
                    {source && (
                        <span class="hint">
                            {source.origin}: {source.source}
                        </span>
                    )}
                </label>
            </details>
        </section>
    );
}

interface SliderProps {
    rule: Rule;
    parameter: Parameter;
    families: Family[];
    value: string;
    plain: string;
    set: (value: string) => void;
}

function Slider({ rule, parameter, families, value, plain, set }: SliderProps): JSX.Element {
    const { min, max, step } = sliderOf(rule, parameter, families);
    const number = Number(value);
    const at = Number.isFinite(number) ? number : value.startsWith("inf") ? max : min;
    const id = `${rule.name}-${parameter.name}`;
    const part = Math.min(Math.max((at - min) / (max - min), 0), 1);
    return (
        <div class="slider">
            <label for={id} class="name">
                {parameter.name}
            </label>
            {value !== plain && (
                <button
                    type="button"
                    class="reset"
                    onClick={() => set(plain)}
                    aria-label={`Set ${parameter.name} back to ${plain}`}
                >
                    back to {plain}
                </button>
            )}
            <input
                type="text"
                inputmode="decimal"
                class="number"
                aria-label={`${parameter.name}, ${parameter.range ?? "any number"}`}
                value={value}
                onChange={(event) => set(event.currentTarget.value.trim() || plain)}
            />
            <input
                type="range"
                id={id}
                min={min}
                max={max}
                step={step}
                value={at}
                style={{ "--part": part }}
                aria-describedby={`${id}-about`}
                aria-valuetext={value}
                onInput={(event) => set(tidy(event.currentTarget.valueAsNumber))}
            />
            <p class="hint" id={`${id}-about`}>
                {parameter.about} <span class="range">{parameter.range}</span>
            </p>
        </div>
    );
}
