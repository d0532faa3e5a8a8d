import { infiniteQueryOptions, useInfiniteQuery } from "@tanstack/react-query";

type OnePage<T> = { items: T[]; next: string | null };
type Load<T> = (cursor: string | undefined, signal: AbortSignal) => Promise<OnePage<T>>;

/** How a list that comes page by page is read; `cursor` is undefined for the first. */
export const pages = <T>(queryKey: unknown[], load: Load<T>) =>
  infiniteQueryOptions({
    queryKey,
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) => load(pageParam || undefined, signal),
    getNextPageParam: (page) => page.next,
    select: (data) => ({ ...data, items: data.pages.flatMap((p) => p.items) }),
  });

export const usePages = <T>(queryKey: unknown[], load: Load<T>, enabled = true) =>
  useInfiniteQuery({ ...pages(queryKey, load), enabled });
