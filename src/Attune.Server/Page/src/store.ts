import { useEffect, useState } from "preact/hooks";

/** A value that components watch. */
export class Store<T> {
    private readonly watchers = new Set<() => void>();

    constructor(private current: T) {}

    get value(): T {
        return this.current;
    }

    set(value: T): void {
        if (value === this.current) return;
        this.current = value;
        for (const watcher of [...this.watchers]) watcher();
    }

    change(changes: Partial<T>): void {
        this.set({ ...this.current, ...changes });
    }

    watch(watcher: () => void): () => void {
        this.watchers.add(watcher);
        return () => this.watchers.delete(watcher);
    }
}

export function useStore<T>(store: Store<T>): T {
    const [, redraw] = useState({});
    useEffect(() => store.watch(() => redraw({})), [store]);
    return store.value;
}

/** What the browser keeps; nothing where it keeps nothing. */
export function load<T>(name: string): T | null {
    try {
        return JSON.parse(localStorage.getItem(`attune.${name}`) ?? "null") as T | null;
    } catch {
        return null;
    }
}

export function save(name: string, value: unknown): void {
    try {
        localStorage.setItem(`attune.${name}`, JSON.stringify(value));
    } catch {
        // A private window, or it is full: the page works all the same.
    }
}
