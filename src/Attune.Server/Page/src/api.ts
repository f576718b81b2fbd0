/** The server's API, as far as the page uses it. */

export interface Finding {
    rule?: string;
    quantity: string;
    title: string;
    text: string;
    mean: number;
}

export interface Picture {
    id: string;
    job: string;
    index: number;
    seed: number | string;
    width: number;
    height: number;
    format: string;
    bytes: number;
    created: number;
    starred: boolean;
    url: string;
    thumbnail_url: string;
    trace_url?: string;
    findings?: Finding[];
    parameters: Record<string, unknown>;
}

export type Status = "queued" | "running" | "completed" | "failed" | "cancelled";

export interface Job {
    id: string;
    status: Status;
    model: string;
    created: number;
    count: number;
    seed: number | string;
    request: Record<string, unknown>;
    images: Picture[];
    position?: number;
    seconds?: number;
    started?: number;
    ended?: number;
    error?: ErrorBody;
    warnings?: string[];
}

export interface Model {
    id: string;
    attune: {
        class: string;
        family?: string;
        default_size: string;
        size_multiple: number;
        max_pixels: number;
        default_steps: number;
        max_steps: number;
        scheduler: string;
        takes: string[];
        published_rules: string[];
        default_guidance_scale?: number;
        frames: number;
        bytes: number;
    };
}

export interface Parameter {
    name: string;
    kind: "number" | "integer" | "optional" | "choice" | "steps" | "layers" | "text";
    default: string;
    range?: string;
    choices: string[];
    minimum?: number;
    maximum?: number;
    neutral?: string;
    about?: string;
}

export interface Rule {
    name: string;
    text: string;
    title?: string;
    about?: string;
    acts?: string;
    reads_negative: boolean;
    more_passes: number;
    parameters: Parameter[];
}

export interface Family {
    family: string;
    title: string;
    few_step: boolean;
    guidance: string;
    negative_guidance: string;
    rules: { name: string; text: string; origin: string; source: string }[];
}

export interface Option {
    key: string;
    kind: string;
    range?: string;
    takes?: string;
    description: string;
}

export interface Check {
    model: string;
    count: number;
    seconds: number;
    size?: string;
    steps?: number;
    scheduler?: string;
    guidance?: string;
    reads_negative?: boolean;
    warnings: string[];
}

export interface ServerStatus {
    version: string;
    default_model: string;
    keeps: boolean;
    queue: number;
}

export interface ErrorBody {
    message: string;
    param: string | null;
    code: string;
}

/** A refusal, in the server's words. */
export class ApiError extends Error {
    constructor(
        readonly status: number,
        readonly body: ErrorBody,
    ) {
        super(body.message);
    }
}

type Unauthorized = () => void;
let onUnauthorized: Unauthorized = () => undefined;

export function whenUnauthorized(call: Unauthorized): void {
    onUnauthorized = call;
}

async function send(path: string, init?: RequestInit): Promise<Response> {
    let response: Response;
    try {
        response = await fetch(path, init);
    } catch {
        throw new ApiError(0, { message: "The server does not answer. Is it still running?", param: null, code: "unreachable" });
    }
    if (response.ok) return response;
    if (response.status === 401) onUnauthorized();
    const answer = (await response.json().catch(() => null)) as { error?: ErrorBody } | null;
    throw new ApiError(
        response.status,
        answer?.error ?? { message: `The server answered ${response.status}.`, param: null, code: "" },
    );
}

/** Seeds have 64 bits, of which JavaScript's numbers hold 53: long ones are kept as texts. */
async function parse<T>(response: Response): Promise<T> {
    if (response.status === 204) return undefined as T;
    return JSON.parse((await response.text()).replace(/"seed":\s*(\d{16,})/g, '"seed":"$1"')) as T;
}

function stringify(body: unknown): string {
    const mark = nonce();
    const text = JSON.stringify(body, (_, value: unknown) => (typeof value === "bigint" ? `${mark}${value}` : value));
    return text.replace(new RegExp(`"${mark}(\\d+)"`, "g"), "$1");
}

export async function get<T>(path: string): Promise<T> {
    return await parse<T>(await send(path));
}

export async function list<T>(path: string): Promise<T[]> {
    return (await get<{ data: T[] }>(path)).data;
}

export async function post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> {
    const response = await send(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: stringify(body),
    });
    return await parse<T>(response);
}

export async function patch(path: string, body: unknown): Promise<void> {
    await send(path, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export async function remove(path: string): Promise<void> {
    await send(path, { method: "DELETE", keepalive: true });
}

export async function readPicture(file: Blob): Promise<{ width: number; height: number; parameters?: Record<string, unknown> }> {
    const response = await send("/api/images/read", { method: "POST", body: file });
    return await parse(response);
}

/** A name that no other request has. Without it a request that is sent again would be a second job. */
export function nonce(): string {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
