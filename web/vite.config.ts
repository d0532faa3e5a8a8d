import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { mockServer } from "./dev/mock.ts";

// `npm run dev` passes the API on to a running `parley serve`; `npm run dev:mock` needs no server at all.
const api = process.env.PARLEY_API ?? "http://127.0.0.1:8080";

export default defineConfig(({ mode }) => ({
  plugins: [react(), ...(mode === "mock" ? [mockServer()] : [])],
  build: { outDir: "dist", emptyOutDir: true, chunkSizeWarningLimit: 900, target: "es2022" },
  server: { proxy: mode === "mock" ? undefined : { "/api": { target: api, ws: true }, "/docs": { target: api } } },
  test: { environment: "jsdom", setupFiles: ["src/testing.ts"], include: ["src/**/*.test.{ts,tsx}"] },
}));
