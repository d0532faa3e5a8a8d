import "@fontsource-variable/bricolage-grotesque";
import "@fontsource-variable/instrument-sans";
import "@fontsource-variable/jetbrains-mono";
import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "@xyflow/react/dist/style.css";
import "./styles.css";
import { MantineProvider } from "@mantine/core";
import { ModalsProvider } from "@mantine/modals";
import { Notifications } from "@mantine/notifications";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/client";
import { FeedContext, makeFeed } from "./realtime/hooks";
import { makeRouter } from "./routes";
import { theme } from "./theme";

/** Pages for people without a session. */
const outside = ["/sign-in", "/setup", "/invitation", "/forgot-password", "/reset-password", "/try-sign-on"];

function sessionEnded(error: unknown) {
  if (!(error instanceof ApiError) || error.status !== 401) return;
  const at = router.state.location;
  if (outside.includes(at.pathname)) return;
  feed.stop();
  queries.removeQueries({ queryKey: ["me"] });
  void router.navigate({ to: "/sign-in", search: { next: at.href, ended: true } });
}

const queries = new QueryClient({
  queryCache: new QueryCache({ onError: sessionEnded }),
  mutationCache: new MutationCache({
    // A wrong code is refused like an ended session is; who one is tells them apart.
    onError: (error) => {
      if (error instanceof ApiError && error.status === 401) void queries.refetchQueries({ queryKey: ["me"] });
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: (n, error) => n < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
    },
  },
});
const feed = makeFeed(queries);
const router = makeRouter(queries, feed);

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <QueryClientProvider client={queries}>
        <FeedContext.Provider value={feed}>
          <ModalsProvider>
            <Notifications position="bottom-right" />
            <RouterProvider router={router} />
          </ModalsProvider>
        </FeedContext.Provider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
