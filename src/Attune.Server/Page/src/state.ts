import { ApiError, get, list, nonce, patch, post, readPicture, remove } from "./api";
import type { Check, ErrorBody, Family, Job, Model, Option, Picture, Rule, ServerStatus } from "./api";
import { formatRules, parseRules } from "./rules";
import type { ChosenRule } from "./rules";
import { Store, load, save } from "./store";

// ---- What the server has ----

export interface Facts {
    models: Model[];
    rules: Rule[];
    families: Family[];
    options: Option[];
    status: ServerStatus;
}

export const facts = new Store<Facts | null>(null);
export const problem = new Store<string | null>(null);

export async function start(): Promise<void> {
    try {
        const [models, rules, families, options, status] = await Promise.all([
            list<Model>("/api/models"),
            list<Rule>("/api/guidance"),
            list<Family>("/api/presets"),
            list<Option>("/api/options"),
            get<ServerStatus>("/api/status"),
        ]);
        problem.set(null);
        facts.set({ models, rules, families, options, status });
        const [example] = examplesOf(modelOf(form.value.model));
        if (!isKnownForm && example) form.change({ prompt: example[0], negative: example[1], seed: String(example[2]) });
        void checkSoon();
        await Promise.all([refreshJobs(), refreshGallery()]);
        openHash();
        if (view.value === null) {
            const last = sets.value[0];
            if (last) view.set({ kind: "set", id: last.id });
        }
    } catch (error) {
        problem.set(messageOf(error));
    }
}

export function messageOf(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}

// ---- What is asked for ----

export type Mode = "picture" | "compare" | "seeds" | "grid";

/** A picture that the next one begins with. */
export interface Beginning {
    name: string;
    /** A data URL. */
    data: string;
    /** The part that is made anew, transparent there, as a data URL; null for all of it. */
    mask: string | null;
}

export interface Form {
    mode: Mode;
    prompt: string;
    negative: string;
    model: string;
    guidance: "default" | "none" | "own";
    rules: ChosenRule[];
    size: string;
    steps: string;
    seed: string;
    newSeed: boolean;
    count: number;
    scheduler: string;
    /** Other options of the model, by their keys. */
    more: Record<string, string>;
    trace: boolean;
    grid: { parameter: string; from: string; to: string; count: number };
    picture: Beginning | null;
}

/** Words that the models which come along know, and words for others. */
export const examples: { scenes: [string, string, number][]; other: [string, string, number][] } = {
    scenes: [
        ["a rabbit on an orange background", "bow", 5],
        ["a lion on a blue background", "crown", 4],
        ["a chick", "sunglasses", 2],
    ],
    other: [
        ["a red fox in fresh snow at sunrise, photograph", "blurry, text", 7],
        ["a small wooden house by a lake, watercolour", "people", 5],
    ],
};

export function examplesOf(model: Model | undefined): [string, string, number][] {
    return model?.attune.family?.startsWith("scenes") ? examples.scenes : examples.other;
}

const emptyForm: Form = {
    mode: "compare",
    prompt: "",
    negative: "",
    model: "",
    guidance: "default",
    rules: [],
    size: "",
    steps: "",
    seed: "7",
    newSeed: true,
    count: 4,
    scheduler: "",
    more: {},
    trace: true,
    grid: { parameter: "", from: "", to: "", count: 4 },
    picture: null,
};

/** Whether this browser was here before; for newcomers a good prompt is filled in. */
const isKnownForm = load("form") !== null;

export const form = new Store<Form>({ ...emptyForm, ...load<Partial<Form>>("form"), picture: null });
form.watch(() => {
    save("form", { ...form.value, picture: null });
    void checkSoon();
});

export function modelOf(name: string): Model | undefined {
    const known = facts.value?.models ?? [];
    return known.find((model) => model.id === (name || facts.value?.status.default_model)) ?? known[0];
}

export function familyOf(model: Model | undefined): Family | undefined {
    return facts.value?.families.find((family) => family.family === model?.attune.family);
}

export type Body = Record<string, unknown>;

/** The request of a picture, in the words of the API. */
export function bodyOf(asked: Form): Body {
    const body: Body = { prompt: asked.prompt, guidance: guidanceOf(asked), preview: true };
    if (asked.negative.trim() !== "") body["negative_prompt"] = asked.negative;
    if (asked.model !== "") body["model"] = asked.model;
    if (asked.size !== "") body["size"] = asked.size;
    if (asked.steps !== "") body["steps"] = Number(asked.steps);
    if (asked.seed !== "") body["seed"] = BigInt(asked.seed);
    if (asked.scheduler !== "") body["scheduler"] = asked.scheduler;
    if (asked.trace) body["trace"] = true;
    const taken = optionsOf(modelOf(asked.model));
    for (const option of taken) {
        const text = asked.more[option.key];
        if (text === undefined || text === "") continue;
        body[option.key] =
            option.kind === "flag"
                ? text === "true"
                : option.kind === "integer" || option.kind === "number"
                  ? Number(text)
                  : text;
    }
    if (asked.picture) {
        body["images"] = [{ image_url: asked.picture.data }];
        if (asked.picture.mask !== null && modelOf(asked.model)?.attune.takes.includes("mask"))
            body["mask"] = { image_url: asked.picture.mask };
    }
    return body;
}

export function guidanceOf(asked: Form): string {
    return asked.guidance === "own" ? formatRules(asked.rules) : asked.guidance;
}

/** Options with a place of their own on the page, or none. */
const apart = new Set(["prompt", "negative_prompt", "steps", "seed", "width", "height", "count", "guidance", "scheduler"]);

/** The model's other options. */
export function optionsOf(model: Model | undefined): Option[] {
    const takes = new Set(model?.attune.takes ?? []);
    return (facts.value?.options ?? []).filter(
        (option) => !apart.has(option.key) && (option.takes === undefined || takes.has(option.takes)),
    );
}

/** What a comparison is made with: the guidance that the model has where there is no negative prompt. */
export function plainOf(asked: Form): string {
    return familyOf(modelOf(asked.model))?.guidance ?? "none";
}

/** Values from the first to the last, evenly. */
export function valuesOf(grid: Form["grid"]): string[] {
    const [from, to] = [Number(grid.from), Number(grid.to)];
    if (grid.from === "" || grid.to === "" || !Number.isFinite(from) || !Number.isFinite(to)) return [];
    const isWhole = grid.parameter === "steps" || grid.parameter.endsWith(".norm");
    const values = Array.from({ length: grid.count }, (_, i) => from + ((to - from) * i) / Math.max(grid.count - 1, 1));
    return [...new Set(values.map((value) => String(isWhole ? Math.round(value) : Number(value.toPrecision(3)))))];
}

function withValue(body: Body, parameter: string, value: string): Body {
    if (!parameter.includes(".")) return { ...body, [parameter]: Number(value) };
    const [name, key] = parameter.split(".") as [string, string];
    const rules = parseRules(String(body["guidance"])).map((rule) =>
        rule.name === name ? { ...rule, values: { ...rule.values, [key]: value } } : rule,
    );
    return { ...body, guidance: formatRules(rules) };
}

// ---- What the server would make of it ----

export const check = new Store<{ answer: Check | null; error: ErrorBody | null }>({ answer: null, error: null });
let checking = 0;

async function checkSoon(): Promise<void> {
    const mine = ++checking;
    await new Promise((resolve) => setTimeout(resolve, 250));
    if (mine !== checking || facts.value === null) return;
    try {
        const answer = await post<Check>("/api/check", bodyOf(form.value));
        if (mine === checking) check.set({ answer, error: null });
    } catch (error) {
        if (mine === checking && error instanceof ApiError && error.status !== 401)
            check.set({ answer: null, error: error.body });
    }
}

// ---- What was asked for ----

/** A picture of a batch: which of a job's. */
export interface Cell {
    job: string;
    index: number;
    label: string;
}

export interface Batch {
    id: string;
    kind: Mode;
    prompt: string;
    cells: Cell[];
    /** Headings of a grid: values, and seeds. */
    columns: string[];
    rows: string[];
    axis: string;
}

const mostSets = 24;
export const sets = new Store<Batch[]>(load<Batch[]>("sets") ?? []);

function keepSet(set: Batch): void {
    sets.set([set, ...sets.value].slice(0, mostSets));
    save("sets", sets.value);
}

export type View = { kind: "set"; id: string } | { kind: "picture"; id: string } | null;
export const view = new Store<View>(null);
view.watch(() => {
    const hash = view.value?.kind === "picture" ? `#picture=${view.value.id}` : "";
    if (location.hash !== hash) history.replaceState(null, "", hash === "" ? location.pathname : hash);
});

function openHash(): void {
    const id = /^#picture=([0-9a-z]{26})$/.exec(location.hash)?.[1];
    if (id !== undefined) void openPicture(id);
}

addEventListener("hashchange", openHash);

export async function openPicture(id: string): Promise<void> {
    if (!findPicture(id)) {
        try {
            remember([await get<Picture>(`/api/images/${id}`)]);
        } catch (error) {
            toast(messageOf(error));
            return;
        }
    }
    view.set({ kind: "picture", id });
}

export const submitting = new Store(false);
export const failure = new Store<ErrorBody | null>(null);

async function submitJob(body: Body): Promise<Job> {
    const headers = { "Idempotency-Key": nonce() };
    for (let attempt = 0; ; attempt++) {
        try {
            const job = await post<Job>("/api/jobs", body, headers);
            keepJob(job);
            return job;
        } catch (error) {
            if (attempt >= 2 || !(error instanceof ApiError) || error.status !== 0) throw error;
            await new Promise((resolve) => setTimeout(resolve, 500));
        }
    }
}

/** Asks for what the form says; the pictures come by themselves. */
export async function submit(asked: Form = form.value): Promise<void> {
    if (submitting.value) return;
    submitting.set(true);
    failure.set(null);
    const made: Job[] = [];
    try {
        if (asked.seed === "") asked = { ...asked, seed: randomSeed() };
        const set = await submitSet(asked, made);
        keepSet(set);
        view.set({ kind: "set", id: set.id });
        if (form.value.newSeed) form.change({ seed: randomSeed() });
        document.querySelector("#stage")?.scrollIntoView({ block: "nearest" });
    } catch (error) {
        for (const job of made) void cancel(job.id);
        failure.set(error instanceof ApiError ? error.body : { message: messageOf(error), param: null, code: "" });
    } finally {
        submitting.set(false);
        void refreshJobs();
    }
}

async function submitSet(asked: Form, made: Job[]): Promise<Batch> {
    const body = bodyOf(asked);
    const seed = BigInt(asked.seed);
    const set: Batch = {
        id: nonce(),
        kind: asked.mode,
        prompt: String(body["prompt"]),
        cells: [],
        columns: [],
        rows: [],
        axis: "",
    };
    const add = async (request: Body): Promise<Job> => {
        const job = await submitJob(request);
        made.push(job);
        return job;
    };
    const rules = asked.mode === "compare" || asked.mode === "grid" ? await resolve(asked, body) : "none";
    if (asked.mode === "compare") {
        const plain: Body = { ...body, guidance: plainOf(asked) };
        if (plain["guidance"] === "none") delete plain["negative_prompt"];
        const without = await add(plain);
        const guided = await add(body);
        const names = parseRules(rules).map((rule) => rule.name.toUpperCase());
        set.cells = [
            {
                job: without.id,
                index: 0,
                label: plain["guidance"] === "none" ? "Without guidance" : `With ${plain["guidance"]} alone`,
            },
            { job: guided.id, index: 0, label: names.length > 0 ? `With ${names.join(" + ")}` : "As asked" },
        ];
    } else if (asked.mode === "grid") {
        const values = valuesOf(asked.grid);
        const seeds = Math.max(asked.count, 1);
        set.axis = asked.grid.parameter;
        set.columns = values;
        set.rows = Array.from({ length: seeds }, (_, i) => `seed ${seed + BigInt(i)}`);
        const jobs: Job[] = [];
        for (const value of values) {
            jobs.push(await add(withValue({ ...body, n: seeds, guidance: rules }, asked.grid.parameter, value)));
        }
        for (let row = 0; row < seeds; row++) {
            for (const [column, job] of jobs.entries())
                set.cells.push({
                    job: job.id,
                    index: row,
                    label: `${asked.grid.parameter} ${values[column]}, seed ${seed + BigInt(row)}`,
                });
        }
    } else {
        const count = asked.mode === "seeds" ? asked.count : 1;
        const job = await add({ ...body, n: count });
        set.cells = Array.from({ length: count }, (_, index) => ({ job: job.id, index, label: `seed ${seed + BigInt(index)}` }));
    }
    return set;
}

/** The rules that act; the server knows what it makes of the default. */
async function resolve(asked: Form, body: Body): Promise<string> {
    if (asked.guidance !== "default") return guidanceOf(asked);
    const { guidance } = await post<Check>("/api/check", body);
    const family = familyOf(modelOf(asked.model));
    return guidance ?? (asked.negative.trim() === "" ? family?.guidance : family?.negative_guidance) ?? "none";
}

export function randomSeed(): string {
    return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

// ---- Jobs as they go on ----

export interface Progress {
    image: number;
    index: number;
    count: number;
    preview: string | null;
}

export const jobs = new Store<ReadonlyMap<string, Job>>(new Map());
export const progress = new Store<ReadonlyMap<string, Progress>>(new Map());
export const announcement = new Store("");
const streams = new Map<string, EventSource>();

export const isLive = (job: Job): boolean => job.status === "queued" || job.status === "running";

/** Jobs that wait or run, the next one first. */
export function liveJobs(all: ReadonlyMap<string, Job>): Job[] {
    return [...all.values()].filter(isLive).sort((a, b) => (a.position ?? -1) - (b.position ?? -1) || a.created - b.created);
}

function keepJob(...fresh: Job[]): void {
    const all = new Map(jobs.value);
    for (const job of fresh) all.set(job.id, job);
    jobs.set(all);
    remember(fresh.flatMap((job) => job.images));
}

/** Whether the last answer about jobs did not come, so that it is asked for again. */
let isStale = false;

/** Jobs of all windows, and those of this window's sets that the list no longer has. */
export async function refreshJobs(): Promise<void> {
    try {
        const listed = await list<Job>("/api/jobs?limit=100");
        const gone = [...jobs.value.values()].filter((job) => isLive(job) && !listed.some((other) => other.id === job.id));
        const shown =
            view.value?.kind === "set" ? sets.value.find((set) => set.id === (view.value as { id: string }).id) : sets.value[0];
        const missing = (shown?.cells ?? [])
            .map((cell) => cell.job)
            .filter((id) => !jobs.value.has(id) && !listed.some((job) => job.id === id));
        const others = await Promise.all([...new Set([...gone.map((job) => job.id), ...missing])].map(fetchJob));
        const wasLive = [...jobs.value.values()].filter(isLive).length;
        keepJob(...listed, ...others.filter((job) => job !== null));
        if (wasLive > 0 && liveJobs(jobs.value).length === 0) void refreshGallery();
        listen();
        isStale = false;
    } catch {
        isStale = true;
    }
}

/** A job that the server does not know any more was cancelled, or is not there at all. */
async function fetchJob(id: string): Promise<Job | null> {
    try {
        return await get<Job>(`/api/jobs/${id}`);
    } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 404) throw error;
        return jobs.value.has(id) ? { ...jobs.value.get(id)!, status: "cancelled" } : null;
    }
}

export async function loadJob(id: string): Promise<void> {
    try {
        const job = await fetchJob(id);
        if (job) keepJob(job);
    } catch {
        isStale = true;
    }
}

/** Hears the events of what runs; what waits is asked for now and then, since a browser has few connections to a server. */
function listen(): void {
    const running = liveJobs(jobs.value)
        .filter((job) => job.status === "running")
        .slice(0, 2);
    const next = liveJobs(jobs.value)[0];
    for (const job of running.length > 0 ? running : next ? [next] : []) {
        if (!streams.has(job.id)) hear(job.id);
    }
}

function hear(id: string): void {
    const stream = new EventSource(`/api/jobs/${id}/events`);
    streams.set(id, stream);
    const on = <T>(type: string, call: (data: T) => void): void =>
        stream.addEventListener(type, (event) => call(JSON.parse((event as MessageEvent<string>).data) as T));
    const close = (): void => {
        stream.close();
        streams.delete(id);
        void loadJob(id).then(() => {
            dropProgress(id);
            announceEnd(id);
            void refreshGallery();
            void refreshJobs();
        });
    };
    on<{ image: number }>("started", ({ image }) => {
        const job = jobs.value.get(id);
        if (job) keepJob({ ...job, status: "running" });
        setProgress(id, { image, index: 0, count: 0, preview: null });
    });
    on<{ image: number; index: number; count: number }>("step", (step) =>
        setProgress(id, {
            image: step.image,
            index: step.index,
            count: step.count,
            preview: progress.value.get(id)?.preview ?? null,
        }),
    );
    on<{ image: number; index: number; count: number; b64_json: string }>("preview", (step) =>
        setProgress(id, {
            image: step.image,
            index: step.index,
            count: step.count,
            preview: `data:image/png;base64,${step.b64_json}`,
        }),
    );
    on("image", () => void loadJob(id));
    for (const end of ["completed", "cancelled", "failed"]) on(end, close);
    stream.addEventListener("error", () => {
        if (stream.readyState !== EventSource.CLOSED) return;
        streams.delete(id);
        void loadJob(id);
    });
}

function setProgress(id: string, step: Progress): void {
    progress.set(new Map(progress.value).set(id, step));
}

function dropProgress(id: string): void {
    const all = new Map(progress.value);
    all.delete(id);
    progress.set(all);
}

function announceEnd(id: string): void {
    const job = jobs.value.get(id);
    if (!job) return;
    const what = job.count === 1 ? "The picture" : `${job.images.length} of ${job.count} pictures`;
    announcement.set(
        job.status === "completed"
            ? `${what} made: ${String(job.request["prompt"])}`
            : job.status === "failed"
              ? `Failed: ${job.error?.message ?? ""}`
              : "Cancelled.",
    );
}

export async function cancel(id: string): Promise<void> {
    try {
        await remove(`/api/jobs/${id}`);
    } catch (error) {
        toast(messageOf(error));
    }
    await loadJob(id);
    void refreshJobs();
}

const pause = 1500;
setInterval(() => {
    if (document.visibilityState !== "visible" || !facts.value) return;
    if (isStale || liveJobs(jobs.value).length > 0) void refreshJobs();
}, pause);
document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && facts.value) void Promise.all([refreshJobs(), refreshGallery()]);
});

// ---- The gallery ----

const pageSize = 48;
export const gallery = new Store<{ ids: string[]; more: boolean; starred: boolean }>({ ids: [], more: false, starred: false });
export const pictures = new Store<ReadonlyMap<string, Picture>>(new Map());
const deleted = new Set<string>();

export function findPicture(id: string): Picture | undefined {
    return pictures.value.get(id);
}

function remember(fresh: Picture[]): void {
    if (fresh.length === 0) return;
    const all = new Map(pictures.value);
    for (const picture of fresh) all.set(picture.id, picture);
    pictures.set(all);
}

export async function refreshGallery(): Promise<void> {
    const { starred } = gallery.value;
    try {
        const listed = await list<Picture>(`/api/images?limit=${pageSize}&starred=${starred}`);
        if (gallery.value.starred !== starred) return;
        remember(listed);
        gallery.set({
            ids: listed.map((picture) => picture.id).filter((id) => !deleted.has(id)),
            more: listed.length === pageSize,
            starred,
        });
    } catch (error) {
        toast(messageOf(error));
    }
}

export async function moreGallery(): Promise<void> {
    const { ids, starred } = gallery.value;
    const listed = await list<Picture>(`/api/images?limit=${pageSize}&starred=${starred}&before=${ids.at(-1) ?? ""}`);
    remember(listed);
    gallery.change({ ids: [...ids, ...listed.map((picture) => picture.id)], more: listed.length === pageSize });
}

export async function star(picture: Picture): Promise<void> {
    remember([{ ...picture, starred: !picture.starred }]);
    try {
        await patch(`/api/images/${picture.id}`, { starred: !picture.starred });
    } catch (error) {
        remember([picture]);
        toast(messageOf(error));
    }
}

/** Deletes a picture when there was time to think again. */
export function discard(picture: Picture): void {
    deleted.add(picture.id);
    const { ids } = gallery.value;
    const next = ids[ids.indexOf(picture.id) + 1] ?? ids[ids.indexOf(picture.id) - 1];
    gallery.change({ ids: ids.filter((id) => id !== picture.id) });
    if (view.value?.kind === "picture" && view.value.id === picture.id) view.set(next ? { kind: "picture", id: next } : null);
    toast("The picture is deleted.", {
        label: "Undo",
        act: () => {
            deleted.delete(picture.id);
            void refreshGallery();
        },
        otherwise: () => void remove(`/api/images/${picture.id}`).then(refreshGallery, (error) => toast(messageOf(error))),
    });
}

// ---- Settings of a picture ----

/** Puts what made a picture into the form. */
export function recall(parameters: Record<string, unknown>, keepSeed = true): void {
    const text = (key: string): string =>
        parameters[key] === undefined || parameters[key] === null ? "" : String(parameters[key]);
    const guidance = text("guidance");
    const rules = parseRules(guidance);
    const model = facts.value?.models.find((known) => known.id === text("model"))?.id ?? "";
    const size = text("width") !== "" && text("height") !== "" ? `${text("width")}x${text("height")}` : "";
    const more: Record<string, string> = {};
    for (const option of optionsOf(modelOf(model))) {
        if (text(option.key) !== "") more[option.key] = text(option.key);
    }
    form.change({
        mode: "picture",
        prompt: text("prompt"),
        negative: text("negative_prompt"),
        model,
        guidance: guidance === "" || guidance === "default" ? "default" : rules.length === 0 ? "none" : "own",
        rules,
        more,
        size: size === modelOf(model)?.attune.default_size ? "" : size,
        steps: text("steps"),
        scheduler: text("scheduler"),
        ...(keepSeed ? { seed: text("seed"), newSeed: false } : {}),
    });
    failure.set(null);
}

export const takesPicture = (model: Model | undefined): boolean =>
    (model?.attune.takes ?? []).some((option) => option === "image" || option === "references");

/** A file that was dropped, pasted or chosen: settings to recall, or a picture to begin with. */
export async function receive(file: File): Promise<void> {
    try {
        const { parameters } = await readPicture(file);
        if (parameters) {
            recall(parameters);
            toast(`The settings of ${file.name} are recalled.`);
            announcement.set("Settings recalled.");
        } else if (takesPicture(modelOf(form.value.model))) {
            await beginWith(file, file.name);
            toast(`${file.name} says nothing of how it was made; the next picture begins with it.`);
        } else {
            toast(`${file.name} says nothing of how it was made.`);
        }
    } catch (error) {
        toast(messageOf(error));
    }
}

export async function beginWith(file: Blob, name: string): Promise<void> {
    const data = await new Promise<string>((resolve, reject) => {
        const reader = new FileReader();
        reader.onload = () => resolve(String(reader.result));
        reader.onerror = () => reject(new Error(`${name} cannot be read.`));
        reader.readAsDataURL(file);
    });
    form.change({ picture: { name, data, mask: null } });
}

/** The next picture begins with one of the gallery. */
export async function beginWithMade(picture: Picture): Promise<void> {
    try {
        const answer = await fetch(picture.url);
        if (!answer.ok) throw new Error("The picture is not there any more.");
        await beginWith(await answer.blob(), "this picture");
        toast("The next picture begins with this one.");
    } catch (error) {
        toast(messageOf(error));
    }
}

// ---- Words for the reader ----

export interface Toast {
    text: string;
    label?: string;
    act?: () => void;
    otherwise?: () => void;
}

export const toasts = new Store<Toast | null>(null);
let clearing = 0;

/** Says something for a while. What was said before is over. */
export function toast(text: string, action?: Omit<Toast, "text">): void {
    endToast(false);
    toasts.set({ text, ...action });
    clearing = window.setTimeout(() => endToast(false), action ? 7000 : 4500);
}

export function endToast(acted: boolean): void {
    clearTimeout(clearing);
    const said = toasts.value;
    toasts.set(null);
    if (acted) said?.act?.();
    else said?.otherwise?.();
}

addEventListener("pagehide", () => endToast(false));
