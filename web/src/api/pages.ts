import { useInfiniteQuery } from "@tanstack/react-query";

type OnePage<T> = { items: T[]; next: string | null };

/** A list that comes page by page; `cursor` is undefined for the first. */
export const usePages = <T>(
  queryKey: unknown[],
  load: (cursor: string | undefined, signal: AbortSignal) => Promise<OnePage<T>>,
  enabled = true,
) =>
  useInfiniteQuery({
    queryKey,
    enabled,
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) => load(pageParam || undefined, signal),
    getNextPageParam: (page) => page.next,
    select: (data) => ({ ...data, items: data.pages.flatMap((p) => p.items) }),
  });
