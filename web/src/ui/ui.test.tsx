import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";
import { ApiError, formErrors, toApiError, unwrap } from "../api/client";
import { strength } from "../features/identity/password";
import { toInput } from "../features/model/ModelForm";
import { bytes, clock, latency, slugify, when, words } from "./format";
import { Loaded } from "./states";

function Probe({ load }: { load: () => Promise<string> }) {
  const query = useQuery({ queryKey: ["x"], queryFn: load, retry: false });
  return <Loaded query={query}>{(text) => <p>{text}</p>}</Loaded>;
}
const show = (load: () => Promise<string>) =>
  render(
    <MantineProvider>
      <QueryClientProvider client={new QueryClient()}>
        <Probe load={load} />
      </QueryClientProvider>
    </MantineProvider>,
  );

describe("Loaded", () => {
  it("shows that it loads, then what was loaded", async () => {
    let answer: (s: string) => void = () => {};
    show(
      () =>
        new Promise((r) => {
          answer = r;
        }),
    );
    expect(screen.getByLabelText("Loading")).toBeTruthy();
    answer("there");
    expect(await screen.findByText("there")).toBeTruthy();
  });
  it("shows the server's words and tries again", async () => {
    let n = 0;
    show(async () => {
      if (n++ === 0) throw new ApiError(500, "internal", "The disk is full.");
      return "better";
    });
    expect(await screen.findByText("The disk is full.")).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByText("better")).toBeTruthy();
  });
  it("says who can help when it is forbidden", async () => {
    show(async () => {
      throw new ApiError(403, "forbidden", "Your role does not include this.");
    });
    expect(await screen.findByText("You may not see this")).toBeTruthy();
  });
});

describe("problems", () => {
  it("come from problem+json, field by field", () => {
    const e = toApiError(422, {
      code: "invalid",
      detail: "Two things are wrong.",
      errors: [{ location: "body.email", message: "is taken" }],
    });
    expect(e.message).toBe("Two things are wrong.");
    expect(formErrors(e)).toEqual({ email: "is taken" });
    expect(toApiError(502, "<html>").message).toMatch(/server/);
  });
  it("tell when nobody answers", async () => {
    await expect(unwrap(Promise.reject(new TypeError("Failed to fetch")))).rejects.toMatchObject({
      code: "unreachable",
    });
  });
});

describe("formats", () => {
  it("read well", () => {
    expect(clock(65_400)).toBe("1:05");
    expect(clock(3_725_000)).toBe("1:02:05");
    expect(clock(-5)).toBe("0:00");
    expect(latency(null)).toBe("–");
    expect(latency(3.25)).toBe("3.3 ms");
    expect(latency(212.4)).toBe("212 ms");
    expect(latency(1500)).toBe("1.50 s");
    expect(bytes(2_500_000)).toBe("2.4 MB");
    expect(words("in_progress")).toBe("In progress");
    expect(slugify("  Café & Büro 2 ")).toBe("cafe-buro-2");
    expect(when(new Date(2026, 2, 1, 9, 5).toISOString(), new Date(2026, 2, 1, 12))).toMatch(/^Today/);
    expect(when(new Date(2026, 1, 28, 9, 5).toISOString(), new Date(2026, 2, 1, 12))).toMatch(/^Yesterday/);
  });
});

describe("password strength", () => {
  it("asks for length first and knows the obvious", () => {
    expect(strength("").score).toBe(0);
    expect(strength("short").hint).toBe("5 more characters needed.");
    expect(strength("password123456").score).toBe(1);
    expect(strength("lakeside-2026-door", "Lakeside Clinic").score).toBe(1);
    expect(strength("correct horse battery staple").score).toBe(4);
  });
});

describe("a model connection", () => {
  it("sends services that have an address, and keys only when typed", () => {
    const none = { stt: "", llm: "", tts: "" };
    expect(
      toInput({
        name: " Ollama ",
        baseUrls: { ...none, llm: "http://h/v1/ " },
        keys: { ...none, tts: "x" },
        defaults: { ...none, llm: "m", voice: "" },
      }),
    ).toEqual({ name: "Ollama", baseUrls: { llm: "http://h/v1" }, defaults: { llm: "m" } });
  });
});
