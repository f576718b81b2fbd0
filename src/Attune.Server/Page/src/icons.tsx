import type { JSX } from "preact";

const paths: Record<string, string> = {
    star: "M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8z",
    trash: "M4 7h16M9 7V4.5h6V7m-8.5 0 .8 12.5h9.4L17.5 7M10 11v5m4-5v5",
    download: "M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",
    close: "M6 6l12 12M18 6 6 18",
    dice: "M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",
    copy: "M9 9h11v11H9zM15 9V4H4v11h5",
    sun:
        "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2m0 15v2M2.5 12h2m15 0h2" +
        "M5.3 5.3l1.4 1.4m10.6 10.6 1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
    moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
    auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
    help: "M9 9.2a3 3 0 1 1 4.3 2.7c-.9.5-1.3 1-1.3 2.1M12 17.5h.01",
    open: "M4 7.5V18h16V9.5h-8.5L9.5 7.5z",
    back: "M14.5 5.5 8 12l6.5 6.5",
    next: "M9.5 5.5 16 12l-6.5 6.5",
    plus: "M12 5v14M5 12h14",
    code: "M9 7l-5 5 5 5M15 7l5 5-5 5",
};

export function Icon({ name, filled = false }: { name: string; filled?: boolean }): JSX.Element {
    return (
        <svg
            class="icon"
            viewBox="0 0 24 24"
            width="20"
            height="20"
            aria-hidden="true"
            focusable="false"
            fill={filled ? "currentColor" : "none"}
            stroke="currentColor"
            stroke-width="1.8"
            stroke-linecap="round"
            stroke-linejoin="round"
        >
            <path d={paths[name]} />
        </svg>
    );
}
