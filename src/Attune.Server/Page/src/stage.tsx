import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Job, Picture } from "./api";
import { Compare } from "./compare";
import { Icon } from "./icons";
import { parseRules } from "./rules";
import {
    beginWithMade,
    cancel,
    discard,
    facts,
    findPicture,
    form,
    gallery,
    isLive,
    jobs,
    loadJob,
    modelOf,
    openPicture,
    pictures,
    plainOf,
    progress,
    recall,
    sets,
    star,
    submit,
    takesPicture,
    toast,
    view,
} from "./state";
import type { Batch, Cell } from "./state";
import { useStore } from "./store";
import { Trace } from "./trace";

/** What is looked at: what was asked for last, or a picture of the gallery. */
export function Stage(): JSX.Element {
    const shown = useStore(view);
    useStore(pictures);
    const all = useStore(sets);
    const set = shown?.kind === "set" ? all.find((other) => other.id === shown.id) : undefined;
    const picture = shown?.kind === "picture" ? findPicture(shown.id) : undefined;
    return (
        <section id="stage" class="stage" aria-label="Result" tabIndex={-1}>
            {set ? <SetView key={set.id} set={set} /> : picture ? <PictureView key={picture.id} picture={picture} /> : <Empty />}
        </section>
    );
}

function Empty(): JSX.Element {
    return (
        <div class="empty">
            <svg viewBox="0 0 220 110" width="220" height="110" aria-hidden="true" focusable="false">
                <rect x="6" y="8" width="94" height="94" rx="16" class="ghost" />
                <rect x="120" y="8" width="94" height="94" rx="16" class="ghost lit" />
                <path d="M110 0v110" class="divider" />
                <circle cx="110" cy="55" r="11" class="knob" />
            </svg>
            <h2>One seed, without and with guidance</h2>
            <p>
                The prompt is filled in. Make both pictures, and move the divider between them to see what the negative prompt
                took away.
            </p>
            <button type="button" class="primary" onClick={() => void submit()}>
                Make the first pictures
            </button>
        </div>
    );
}

/** What there is of a picture that was asked for. */
function partOf(cell: Cell, all: ReadonlyMap<string, Job>): { job: Job | undefined; picture: Picture | undefined } {
    const job = all.get(cell.job);
    return { job, picture: job?.images.find((image) => image.index === cell.index) };
}

function SetView({ set }: { set: Batch }): JSX.Element {
    const all = useStore(jobs);
    const ids = [...new Set(set.cells.map((cell) => cell.job))];
    useEffect(() => {
        for (const id of ids) {
            if (!all.has(id)) void loadJob(id);
        }
    }, [set.id]);
    const live = ids.map((id) => all.get(id)).filter((job): job is Job => job !== undefined && isLive(job));
    const [focus, setFocus] = useState(set.kind === "compare" ? 1 : 0);
    const cell = set.cells[Math.min(focus, set.cells.length - 1)];
    const { picture } = cell ? partOf(cell, all) : { picture: undefined };
    return (
        <>
            <header class="bar">
                <h2>{set.prompt}</h2>
                {live.length > 0 && (
                    <button
                        type="button"
                        class="small"
                        onClick={() => {
                            for (const job of live) void cancel(job.id);
                        }}
                    >
                        Cancel{live.length > 1 ? ` all ${live.length}` : ""}
                    </button>
                )}
            </header>
            <Failures ids={ids} looked={cell?.job} />
            <div class={set.cells.length <= 2 ? "body" : "body wide"}>
                {set.kind === "compare" && set.cells.length === 2 ? (
                    <Compare
                        without={<Shown cell={set.cells[0]!} />}
                        with={<Shown cell={set.cells[1]!} />}
                        labels={[set.cells[0]!.label, set.cells[1]!.label]}
                        ratio={ratioOf(set, all)}
                        most={mostOf(picture)}
                    />
                ) : set.cells.length === 1 ? (
                    <div class="single" style={{ "--most": mostOf(picture), "--ratio": ratioOf(set, all) }}>
                        <Shown cell={set.cells[0]!} />
                    </div>
                ) : (
                    <Grid set={set} focus={focus} choose={setFocus} />
                )}
                {picture && <Details picture={picture} compared={set.kind === "compare"} />}
            </div>
        </>
    );
}

/** How wide a picture is shown: small ones grow, but not until they are a blur. */
function mostOf(picture: Picture | undefined): string {
    return `${picture ? Math.min(Math.max(picture.width * 3.5, 320), 1024) : 448}px`;
}

/** Width to height: of what is there, or as it was asked for. */
function ratioOf(set: Batch, all: ReadonlyMap<string, Job>): number {
    for (const cell of set.cells) {
        const { picture, job } = partOf(cell, all);
        if (picture) return picture.width / picture.height;
        const [width, height] = [Number(job?.request["width"]), Number(job?.request["height"])];
        if (width > 0 && height > 0) return width / height;
    }
    const [width, height] = (modelOf("")?.attune.default_size ?? "1x1").split("x").map(Number);
    return width! / height!;
}

function Failures({ ids, looked }: { ids: string[]; looked: string | undefined }): JSX.Element {
    const all = useStore(jobs);
    const known = ids.map((id) => all.get(id)).filter((job): job is Job => job !== undefined);
    const warnings = known.find((job) => job.id === looked)?.warnings ?? [];
    return (
        <>
            {known
                .filter((job) => job.status === "failed")
                .map((job) => (
                    <p key={job.id} class="error" role="alert">
                        {job.error?.message}
                    </p>
                ))}
            {warnings.map((text) => (
                <p key={text} class="warning">
                    {text}
                </p>
            ))}
        </>
    );
}

/** A picture, or as much of it as there is. */
export function Shown({ cell, small = false }: { cell: Cell; small?: boolean }): JSX.Element {
    const { job, picture } = partOf(cell, useStore(jobs));
    const step = useStore(progress).get(cell.job);
    if (picture)
        return (
            <img
                class="made"
                src={small ? picture.thumbnail_url : picture.url}
                width={picture.width}
                height={picture.height}
                alt={altOf(picture)}
            />
        );
    const isMine = step?.image === cell.index && job !== undefined && isLive(job);
    const text = !job
        ? "No longer kept"
        : job.status === "failed"
          ? "Failed"
          : job.status === "cancelled"
            ? "Cancelled"
            : isMine && step.count > 0
              ? `Step ${step.index} of ${step.count}`
              : job.status === "running"
                ? isMine
                    ? "Reading the prompt"
                    : "Next"
                : isLive(job)
                  ? waitText(job)
                  : "Deleted";
    return (
        <div class={`making ${job && isLive(job) ? "live" : "over"}`}>
            {isMine && step.preview && <img src={step.preview} alt="" />}
            <span class="state">
                {!small && isMine && step.count > 0 && <progress max={step.count} value={step.index} aria-label={cell.label} />}
                {text}
            </span>
        </div>
    );
}

export function waitText(job: Job): string {
    const seconds = job.seconds ?? 0;
    const place = job.position ? `${job.position} before it` : "Next";
    return seconds >= 2 ? `${place}, ${Math.round(seconds)} s` : place;
}

export function altOf(picture: Picture): string {
    const negative = picture.parameters["negative_prompt"];
    return `${String(picture.parameters["prompt"] ?? "A picture")}${negative ? `, not ${String(negative)}` : ""}, seed ${picture.seed}`;
}

const axisText = (set: Batch): string => set.axis.replace(".", " ").replaceAll("_", " ");

function Grid({ set, focus, choose }: { set: Batch; focus: number; choose: (index: number) => void }): JSX.Element {
    const columns = Math.max(set.columns.length, 1);
    const button = (index: number): JSX.Element => {
        const cell = set.cells[index]!;
        return (
            <button type="button" class="cell" aria-pressed={index === focus} onClick={() => choose(index)} title={cell.label}>
                <Shown cell={cell} small />
                <span class={set.columns.length > 0 ? "sr" : "label"}>{cell.label}</span>
            </button>
        );
    };
    const [, setMoved] = useState(0);
    const move = (event: KeyboardEvent): void => {
        const width = set.columns.length > 0 ? columns : 1;
        const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -width, ArrowDown: width }[event.key];
        const next = focus + (by ?? 0);
        if (by === undefined || next < 0 || next >= set.cells.length) return;
        event.preventDefault();
        choose(next);
        setMoved(next);
        (event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>(".cell")[next]?.focus();
    };
    if (set.columns.length === 0)
        return (
            <div class="seeds" onKeyDown={move}>
                {set.cells.map((cell, index) => (
                    <div key={cell.label}>{button(index)}</div>
                ))}
            </div>
        );
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label={`Grid over ${axisText(set)}`}>
            <table class="grid" onKeyDown={move}>
                <caption class="sr">Pictures by {axisText(set)} and seed</caption>
                <thead>
                    <tr>
                        <th scope="col">{axisText(set)}</th>
                        {set.columns.map((value) => (
                            <th key={value} scope="col">
                                {value}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {set.rows.map((name, row) => (
                        <tr key={name}>
                            <th scope="row">{name}</th>
                            {set.columns.map((value, column) => (
                                <td key={value}>{button(row * columns + column)}</td>
                            ))}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function PictureView({ picture }: { picture: Picture }): JSX.Element {
    const { ids } = useStore(gallery);
    const at = ids.indexOf(picture.id);
    const go = (by: number): void => {
        const next = ids[at + by];
        if (next) void openPicture(next);
    };
    return (
        <>
            <header class="bar">
                <h2>{String(picture.parameters["prompt"] ?? "")}</h2>
                <span class="pair">
                    <button
                        type="button"
                        class="plain"
                        aria-label="Newer picture"
                        title="Newer (←)"
                        disabled={at <= 0}
                        onClick={() => go(-1)}
                    >
                        <Icon name="back" />
                    </button>
                    <button
                        type="button"
                        class="plain"
                        aria-label="Older picture"
                        title="Older (→)"
                        disabled={at < 0 || at >= ids.length - 1}
                        onClick={() => go(1)}
                    >
                        <Icon name="next" />
                    </button>
                </span>
            </header>
            <div class="body">
                <div class="single" style={{ "--most": mostOf(picture), "--ratio": picture.width / picture.height }}>
                    <img class="made" src={picture.url} width={picture.width} height={picture.height} alt={altOf(picture)} />
                </div>
                <Details picture={picture} />
            </div>
        </>
    );
}

/** Findings about theory, which stay in the trace. */
const theory = /^(hopfield|entmax|anderson)\./;

function Details({ picture, compared = false }: { picture: Picture; compared?: boolean }): JSX.Element {
    const current = findPicture(picture.id) ?? picture;
    const { parameters } = current;
    const [open, setOpen] = useState(false);
    const findings = (current.findings ?? [])
        .filter((finding) => !theory.test(finding.quantity))
        .sort((a, b) => Number(a.rule === undefined) - Number(b.rule === undefined));
    const rules = parseRules(String(parameters["guidance"] ?? "none"));
    const text = (key: string): string => String(parameters[key] ?? "");
    const copy = (what: string): void => {
        void navigator.clipboard?.writeText(what).then(() => toast("Copied."));
    };
    const again = (changes: Partial<typeof form.value>): void => {
        recall(parameters);
        form.change(changes);
        void submit(form.value);
    };
    return (
        <>
            <div class="details">
                <div class="actions">
                    <button
                        type="button"
                        onClick={() => {
                            recall(parameters);
                            toast("The settings are in the form.");
                        }}
                    >
                        Use these settings
                    </button>
                    {!compared && rules.length > 0 && text("guidance") !== plainOf(form.value) && (
                        <button type="button" onClick={() => again({ mode: "compare" })}>
                            Compare with plain
                        </button>
                    )}
                    <button type="button" onClick={() => again({ mode: "seeds", count: 4, seed: text("seed") })}>
                        Vary the seed
                    </button>
                    {takesPicture(modelOf(form.value.model)) && (
                        <button type="button" onClick={() => void beginWithMade(current)}>
                            Begin with it
                        </button>
                    )}
                    <span class="tools">
                        <button
                            type="button"
                            class="plain star"
                            aria-pressed={current.starred}
                            aria-label="Star: keep this picture"
                            title="Star (.)"
                            onClick={() => void star(current)}
                        >
                            <Icon name="star" filled={current.starred} />
                        </button>
                        <a
                            class="button plain"
                            href={current.url}
                            download={`attune-${current.seed}.${current.format}`}
                            aria-label="Download"
                            title="Download"
                        >
                            <Icon name="download" />
                        </a>
                        <button type="button" class="plain" aria-label="Delete" title="Delete" onClick={() => discard(current)}>
                            <Icon name="trash" />
                        </button>
                    </span>
                </div>
                {findings.length > 0 && (
                    <section class="did" aria-label="What guidance did">
                        <h3>What guidance did</h3>
                        <ul>
                            {findings.map((finding) => (
                                <li
                                    key={`${finding.rule} ${finding.quantity}`}
                                    title={finding.title}
                                    class={finding.rule ? "own" : ""}
                                >
                                    {finding.rule && <code>{parseRules(finding.rule)[0]?.name}</code>} {finding.text}
                                </li>
                            ))}
                        </ul>
                        {current.trace_url && (
                            <button type="button" class="small" aria-expanded={open} onClick={() => setOpen(!open)}>
                                {open ? "Hide the trace" : "Where and when: the trace"}
                            </button>
                        )}
                    </section>
                )}
                <dl class="facts">
                    {text("negative_prompt") !== "" && (
                        <>
                            <dt>Not</dt>
                            <dd>{text("negative_prompt")}</dd>
                        </>
                    )}
                    <dt>Seed</dt>
                    <dd>
                        {String(current.seed)}{" "}
                        <button
                            type="button"
                            class="plain tiny"
                            aria-label="Copy the seed"
                            title="Copy"
                            onClick={() => copy(String(current.seed))}
                        >
                            <Icon name="copy" />
                        </button>
                    </dd>
                    <dt>Size</dt>
                    <dd>
                        {current.width} × {current.height}
                    </dd>
                    <dt>Steps</dt>
                    <dd>{text("steps")}</dd>
                    <dt>Guidance</dt>
                    <dd class="mono">{rules.length === 0 ? "none" : shortRules(text("guidance"))}</dd>
                    <dt>Model</dt>
                    <dd>{text("model")}</dd>
                </dl>
            </div>
            {open && current.trace_url && <Trace url={current.trace_url} picture={current} />}
        </>
    );
}

/** Rules without what is as it always is. */
function shortRules(text: string): string {
    return parseRules(text)
        .map((chosen) => {
            const rule = facts.value?.rules.find((known) => known.name === chosen.name);
            const told = Object.entries(chosen.values).filter(([key, value]) => {
                const parameter = rule?.parameters.find((known) => known.name === key);
                return parameter?.kind === "number" || (parameter?.default !== value && value !== "all");
            });
            return told.length === 0
                ? chosen.name
                : `${chosen.name}: ${told.map(([key, value]) => `${key} ${value}`).join(", ")}`;
        })
        .join(" + ");
}
