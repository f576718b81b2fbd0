import { render } from "preact";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, post, whenUnauthorized } from "./api";
import { Composer } from "./composer";
import { Gallery, Queue } from "./gallery";
import { Icon } from "./icons";
import { Stage } from "./stage";
import {
    announcement,
    endToast,
    facts,
    findPicture,
    gallery,
    messageOf,
    openPicture,
    problem,
    recall,
    receive,
    star,
    start,
    submit,
    toast,
    toasts,
    view,
} from "./state";
import { Store, load, save, useStore } from "./store";

type Theme = "auto" | "light" | "dark";

const theme = new Store<Theme>(load<Theme>("theme") ?? "auto");
const keyAsked = new Store(false);
const helpOpen = new Store(false);

const applyTheme = (): void => {
    document.documentElement.dataset["theme"] = theme.value;
    save("theme", theme.value);
};
theme.watch(applyTheme);
applyTheme();

function App(): JSX.Element {
    const known = useStore(facts);
    const broken = useStore(problem);
    return (
        <>
            <a class="skip" href="#stage">
                To the result
            </a>
            <Header />
            {known ? (
                <main>
                    <Composer />
                    <div class="right">
                        <Stage />
                        <Queue />
                        <Gallery />
                    </div>
                </main>
            ) : (
                <main class="loading">
                    {broken ? (
                        <p class="error" role="alert">
                            {broken}{" "}
                            <button type="button" onClick={() => void start()}>
                                Try again
                            </button>
                        </p>
                    ) : (
                        <p class="hint">Asking the server…</p>
                    )}
                </main>
            )}
            <Said />
            <DropTarget />
            <Help />
            <KeyDialog />
        </>
    );
}

function Header(): JSX.Element {
    const known = useStore(facts);
    const chosen = useStore(theme);
    const next: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
    const icons: Record<Theme, string> = { auto: "auto", light: "sun", dark: "moon" };
    return (
        <header class="top">
            <h1>
                <img src="/page/icon.svg" alt="" width={28} height={28} /> Attune
            </h1>
            <p class="model">{known?.status.default_model}</p>
            <nav aria-label="Page">
                <a class="button plain" href="/reference/" aria-label="The API" title="The API">
                    <Icon name="code" />
                </a>
                <button
                    type="button"
                    class="plain"
                    aria-label={`Colours: ${chosen}`}
                    title={`Colours: ${chosen}`}
                    onClick={() => theme.set(next[chosen])}
                >
                    <Icon name={icons[chosen]} />
                </button>
                <button type="button" class="plain" aria-label="Keys" title="Keys (?)" onClick={() => helpOpen.set(true)}>
                    <Icon name="help" />
                </button>
            </nav>
        </header>
    );
}

/** What is said for a while, and what those hear who do not see the pictures come. */
function Said(): JSX.Element {
    const said = useStore(toasts);
    return (
        <>
            <div class="toasts" role="status">
                {said && (
                    <p class="toast">
                        {said.text}
                        {said.label && (
                            <button type="button" onClick={() => endToast(true)}>
                                {said.label}
                            </button>
                        )}
                    </p>
                )}
            </div>
            <div class="sr" aria-live="polite">
                {useStore(announcement)}
            </div>
        </>
    );
}

/** Any picture may be dropped anywhere, or pasted. */
function DropTarget(): JSX.Element | null {
    const [over, setOver] = useState(false);
    useEffect(() => {
        let depth = 0;
        const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
        const handlers: [string, (event: DragEvent) => void][] = [
            [
                "dragenter",
                (event) => {
                    if (hasFiles(event)) {
                        depth++;
                        setOver(true);
                    }
                },
            ],
            [
                "dragleave",
                () => {
                    depth = Math.max(depth - 1, 0);
                    setOver(depth > 0);
                },
            ],
            [
                "dragover",
                (event) => {
                    if (hasFiles(event)) event.preventDefault();
                },
            ],
            [
                "drop",
                (event) => {
                    depth = 0;
                    setOver(false);
                    const file = event.dataTransfer?.files[0];
                    if (!file) return;
                    event.preventDefault();
                    void receive(file);
                },
            ],
        ];
        for (const [type, handler] of handlers) addEventListener(type, handler as EventListener);
        const paste = (event: ClipboardEvent): void => {
            const file = [...(event.clipboardData?.files ?? [])].find((known) => known.type.startsWith("image/"));
            if (file) void receive(file);
        };
        addEventListener("paste", paste);
        return () => {
            for (const [type, handler] of handlers) removeEventListener(type, handler as EventListener);
            removeEventListener("paste", paste);
        };
    }, []);
    return over ? (
        <div class="drop" aria-hidden="true">
            <p>Drop the picture to recall its settings</p>
        </div>
    ) : null;
}

function useDialog(open: boolean): { current: HTMLDialogElement | null } {
    const dialog = useRef<HTMLDialogElement>(null);
    useEffect(() => {
        if (open && !dialog.current?.open) dialog.current?.showModal();
        if (!open && dialog.current?.open) dialog.current.close();
    }, [open]);
    return dialog;
}

const keys: [string, string][] = [
    ["Ctrl or ⌘ + Enter", "make what the form says"],
    ["p", "write the prompt"],
    ["n", "write the negative prompt"],
    ["← →", "the newer or older picture; the divider of a comparison"],
    ["u", "use the settings of the picture"],
    [".", "give the picture a star"],
    ["?", "these keys"],
    ["Esc", "close"],
];

function Help(): JSX.Element {
    const open = useStore(helpOpen);
    const dialog = useDialog(open);
    return (
        <dialog ref={dialog} aria-labelledby="keys-title" onClose={() => helpOpen.set(false)}>
            <h2 id="keys-title">Keys</h2>
            <dl class="keys">
                {keys.map(([key, text]) => (
                    <div key={key}>
                        <dt>
                            <kbd>{key}</kbd>
                        </dt>
                        <dd>{text}</dd>
                    </div>
                ))}
            </dl>
            <form method="dialog">
                <button>Close</button>
            </form>
        </dialog>
    );
}

/** Where the server wants an API key. */
function KeyDialog(): JSX.Element {
    const open = useStore(keyAsked);
    const dialog = useDialog(open);
    const [key, setKey] = useState("");
    const [error, setError] = useState("");
    const send = async (): Promise<void> => {
        try {
            await post("/api/session", { key });
            setError("");
            setKey("");
            keyAsked.set(false);
            await start();
        } catch (reason) {
            setError(
                reason instanceof ApiError && reason.status === 401 ? "The server does not know this key." : messageOf(reason),
            );
        }
    };
    return (
        <dialog ref={dialog} aria-labelledby="key-title" onClose={() => keyAsked.set(false)}>
            <form
                onSubmit={(event) => {
                    event.preventDefault();
                    void send();
                }}
            >
                <h2 id="key-title">This server wants an API key</h2>
                <label>
                    <span class="name">Key</span>
                    <input
                        type="password"
                        autocomplete="off"
                        value={key}
                        onInput={(event) => setKey(event.currentTarget.value)}
                    />
                </label>
                <div role="alert">{error && <p class="error">{error}</p>}</div>
                <button class="primary">Open</button>
            </form>
        </dialog>
    );
}

addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        if (facts.value && !document.querySelector("dialog[open]")) void submit();
        return;
    }
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target.matches("textarea, select, input:not([type=checkbox]):not([type=radio])")) {
        if (event.key === "Escape") target.blur();
        return;
    }
    const shown = view.value?.kind === "picture" ? findPicture(view.value.id) : undefined;
    const move = (by: number): void => {
        if (!shown || target.matches("input, .scroll, .cell")) return;
        const { ids } = gallery.value;
        const next = ids[ids.indexOf(shown.id) + by];
        if (next) void openPicture(next);
    };
    const acts: Record<string, () => void> = {
        "?": () => helpOpen.set(true),
        p: () => document.querySelector<HTMLElement>("#prompt")?.focus(),
        n: () => document.querySelector<HTMLElement>("#negative")?.focus(),
        u: () => {
            if (shown) {
                recall(shown.parameters);
                toast("The settings are in the form.");
            }
        },
        ".": () => {
            if (shown) void star(shown);
        },
        ArrowLeft: () => move(-1),
        ArrowRight: () => move(1),
    };
    const act = acts[event.key];
    if (!act) return;
    if (!event.key.startsWith("Arrow")) event.preventDefault();
    act();
});

whenUnauthorized(() => keyAsked.set(true));
render(<App />, document.querySelector("#app")!);
void start();
