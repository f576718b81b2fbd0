import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { Icon } from "./icons";
import { altOf, waitText } from "./stage";
import {
    cancel,
    findPicture,
    gallery,
    jobs,
    liveJobs,
    moreGallery,
    openPicture,
    pictures,
    progress,
    receive,
    refreshGallery,
    sets,
    toast,
    view,
} from "./state";
import { useStore } from "./store";

/** What waits and runs, of this window and of others. */
export function Queue(): JSX.Element | null {
    const live = liveJobs(useStore(jobs));
    const steps = useStore(progress);
    if (live.length === 0) return null;
    const open = (job: string): void => {
        const set = sets.value.find((known) => known.cells.some((cell) => cell.job === job));
        if (set) view.set({ kind: "set", id: set.id });
        else toast("This was asked for in another window.");
    };
    return (
        <section class="queue card" aria-label="Queue">
            <header class="bar">
                <h2>Being made</h2>
                {live.length > 1 && (
                    <button
                        type="button"
                        class="small"
                        onClick={() => {
                            if (confirm(`Cancel all ${live.length}?`)) for (const job of live) void cancel(job.id);
                        }}
                    >
                        Cancel all
                    </button>
                )}
            </header>
            <ul>
                {live.map((job) => {
                    const step = steps.get(job.id);
                    const all = job.count * Math.max(step?.count ?? 1, 1);
                    const done = step ? step.image * step.count + step.index : job.images.length;
                    const prompt = String(job.request["prompt"]);
                    return (
                        <li key={job.id}>
                            <button type="button" class="plain what" onClick={() => open(job.id)}>
                                {prompt}
                            </button>
                            <span class="hint">
                                {job.status === "running" && job.count > 1 && `${job.images.length} of ${job.count}, `}
                                {job.status !== "running"
                                    ? waitText(job)
                                    : step
                                      ? `step ${step.index} of ${step.count}`
                                      : "begins"}
                            </span>
                            <progress
                                max={all}
                                value={job.status === "running" ? done : 0}
                                aria-label={`Progress of ${prompt}`}
                            />
                            <button
                                type="button"
                                class="plain"
                                aria-label={`Cancel ${prompt}`}
                                title="Cancel"
                                onClick={() => void cancel(job.id)}
                            >
                                <Icon name="close" />
                            </button>
                        </li>
                    );
                })}
            </ul>
        </section>
    );
}

/** All pictures, the newest first. */
export function Gallery(): JSX.Element {
    const { ids, more, starred } = useStore(gallery);
    useStore(pictures);
    const shown = useStore(view);
    const file = useRef<HTMLInputElement>(null);
    return (
        <section class="gallery" aria-label="Gallery">
            <header class="bar">
                <h2>Pictures</h2>
                <span class="pair">
                    <button
                        type="button"
                        class="small"
                        aria-pressed={starred}
                        onClick={() => {
                            gallery.change({ starred: !starred, ids: [] });
                            void refreshGallery();
                        }}
                    >
                        <Icon name="star" filled={starred} /> Starred
                    </button>
                    <button type="button" class="small" onClick={() => file.current?.click()}>
                        <Icon name="open" /> Recall from a file
                    </button>
                    <input
                        ref={file}
                        type="file"
                        accept="image/*"
                        class="sr"
                        tabIndex={-1}
                        aria-label="A picture whose settings are recalled"
                        onChange={(event) => {
                            const chosen = event.currentTarget.files?.[0];
                            if (chosen) void receive(chosen);
                            event.currentTarget.value = "";
                        }}
                    />
                </span>
            </header>
            {ids.length === 0 ? (
                <p class="hint">
                    {starred
                        ? "No picture has a star."
                        : "Pictures that are made appear here, and stay. Drop one anywhere on the page to recall its settings."}
                </p>
            ) : (
                <ul class="thumbs">
                    {ids.map((id) => {
                        const picture = findPicture(id);
                        return (
                            picture && (
                                <li key={id}>
                                    <button
                                        type="button"
                                        aria-current={shown?.kind === "picture" && shown.id === id ? "true" : undefined}
                                        title={altOf(picture)}
                                        onClick={() => {
                                            void openPicture(id);
                                            document.querySelector("#stage")?.scrollIntoView({ block: "nearest" });
                                        }}
                                    >
                                        <img
                                            src={picture.thumbnail_url}
                                            loading="lazy"
                                            width={picture.width}
                                            height={picture.height}
                                            alt={altOf(picture)}
                                        />
                                        {picture.starred && (
                                            <span class="mark">
                                                <Icon name="star" filled />
                                                <span class="sr">starred</span>
                                            </span>
                                        )}
                                    </button>
                                </li>
                            )
                        );
                    })}
                </ul>
            )}
            {more && (
                <button type="button" class="small" onClick={() => void moreGallery()}>
                    Older pictures
                </button>
            )}
        </section>
    );
}
