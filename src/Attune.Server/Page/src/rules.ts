import type { Family, Parameter, Rule } from "./api";

/** A rule as requests write it: nag:scale=4,tau=2.5. */
export interface ChosenRule {
    name: string;
    values: Record<string, string>;
}

export function parseRules(text: string): ChosenRule[] {
    const trimmed = text.trim();
    if (trimmed === "" || trimmed === "none" || trimmed === "default") return [];
    return trimmed.split("+").map((part) => {
        const [name = "", ...rest] = part.split(":");
        const values: Record<string, string> = {};
        for (const pair of rest.join(":").split(",")) {
            const [key = "", ...value] = pair.split("=");
            if (key.trim() !== "") values[key.trim()] = value.join("=").trim();
        }
        return { name: name.trim(), values };
    });
}

export function formatRules(rules: ChosenRule[]): string {
    if (rules.length === 0) return "none";
    return rules
        .map((rule) => {
            const pairs = Object.entries(rule.values)
                .filter(([, value]) => value !== "")
                .map(([key, value]) => `${key}=${value}`);
            return pairs.length > 0 ? `${rule.name}:${pairs.join(",")}` : rule.name;
        })
        .join("+");
}

/** The values of a rule that are published for a family; null where none are. */
export function published(family: Family | undefined, rule: string): ChosenRule | null {
    const entry = family?.rules.find((known) => known.name === rule);
    return entry ? (parseRules(entry.text)[0] ?? null) : null;
}

export function isNumber(parameter: Parameter): boolean {
    return parameter.kind === "number" || parameter.kind === "integer";
}

/** A number that is 1, 2 or 5 times a power of ten, and at least the given one. */
function roundUp(value: number): number {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * ([1, 2, 5, 10].find((factor) => factor * power >= value * 0.999) ?? 10);
}

/**
 * Between what a slider moves. Where a parameter has no greatest value, it goes to twice the greatest one that is published for any model,
 * or is the default; the field beside it takes larger ones.
 */
export function sliderOf(rule: Rule, parameter: Parameter, families: Family[]): { min: number; max: number; step: number } {
    const known = [
        Number(parameter.default),
        ...families.map((family) => Number(published(family, rule.name)?.values[parameter.name])),
    ];
    const greatest = Math.max(...known.filter(Number.isFinite), 0.5);
    const min = parameter.minimum ?? -greatest * 2;
    const max = parameter.maximum ?? Math.max(roundUp(greatest * 2), min + 1);
    const step = parameter.kind === "integer" ? 1 : Math.min(roundUp((max - min) / 200), 0.5);
    return { min, max, step };
}

/** A number without the noise of binary fractions. */
export function tidy(value: number): string {
    return String(Number(value.toPrecision(6)));
}
